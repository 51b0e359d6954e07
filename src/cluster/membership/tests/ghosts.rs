//! Members that are gone for good are forgotten and stay so; members of the ring never are.

use super::simulator::{World, secs};
use crate::NodeId;
use crate::membership::{Change, Liveness};

const QUARTER: u64 = 15 * 60;

fn knows(world: &World, id: NodeId) -> bool {
    world.running().any(|slot| world.node(slot).member(id).is_some())
}

#[test]
fn a_ghost_is_forgotten_and_does_not_return() {
    for seed in 0..4 {
        let mut world = World::formed(seed, 4);
        world.network.loss_per_mille = 100;
        let ghost = world.id(3);
        world.kill(3);
        world.run_for(secs(QUARTER - 30));
        assert!(world.down_at_all(3), "seed {seed}: it is kept so long");
        world.run_for(secs(60));
        assert!(!knows(&world, ghost), "seed {seed}");
        world.run_for(secs(2 * QUARTER));
        assert!(!knows(&world, ghost), "seed {seed}");
        let times = world.log.iter().filter(|(_, _, change)| *change == Change::Forgotten(ghost)).count();
        assert_eq!(times, 3, "seed {seed}: each forgets it once");
        assert!(world.running().all(|slot| world.node(slot).forgotten.len() == 0), "seed {seed}");
    }
}

#[test]
fn whoever_comes_late_or_slept_does_not_keep_a_ghost_alive() {
    for seed in 0..4 {
        let mut world = World::formed(seed, 5);
        let ghost = world.id(4);
        world.kill(4);
        world.kill(3);
        world.run_for(secs(QUARTER - 60));
        // One that sleeps through the forgetting of all others, and past it; one that comes just before.
        world.pause(2, secs(3 * QUARTER));
        world.start(3);
        world.run_for(secs(10));
        assert!(world.node(3).member(ghost).is_some(), "seed {seed}");
        world.run_for(secs(120));
        assert!([0, 1, 3].iter().all(|slot| world.node(*slot).member(ghost).is_none()), "seed {seed}");
        world.run_for(secs(3 * QUARTER));
        assert!(!knows(&world, ghost), "seed {seed}");
        let back = world.log.iter().filter(|(_, _, change)| *change == Change::Joined(ghost)).count();
        assert_eq!(back, 5, "seed {seed}: four at the beginning and the late one, never again");
        let living = [world.id(0), world.id(1)];
        let forgot =
            world.log.iter().any(|(_, _, change)| living.iter().any(|id| *change == Change::Forgotten(*id)));
        assert!(!forgot, "seed {seed}: the sleeper knows that it slept");
        assert!(world.all_know_all(), "seed {seed}");
    }
}

#[test]
fn a_stream_of_newcomers_does_not_pass_a_ghost_on() {
    for seed in 0..4 {
        let mut world = World::new(seed, 10);
        world.config.forget_after = secs(60);
        for slot in 0..3 {
            world.start(slot);
        }
        world.run_for(secs(10));
        let ghost = world.id(2);
        world.kill(2);
        // Each comes while the one before would still keep what it learned, if it counted from when it learned it.
        for slot in 3..10 {
            world.run_for(secs(50));
            world.start(slot);
            if slot > 3 {
                assert!(!knows(&world, ghost), "seed {seed}, before slot {slot}");
            }
        }
    }
}

#[test]
fn members_of_the_ring_are_never_forgotten() {
    for seed in 0..3 {
        let mut world = World::formed(seed, 3);
        let ring: Vec<NodeId> = (0..3).map(|slot| world.id(slot)).collect();
        for slot in 0..3 {
            world.slots[slot].node.as_mut().unwrap().set_permanent(&ring, secs(0));
        }
        world.kill(2);
        world.run_for(secs(4 * QUARTER));
        assert!(world.down_at_all(2), "seed {seed}");
        // One that starts now learns of it too, as soon as it knows the ring.
        world.kill(1);
        world.start(1);
        world.slots[1].node.as_mut().unwrap().set_permanent(&ring, secs(0));
        world.run_for(secs(10));
        assert_eq!(world.liveness(1, 2), Some(Liveness::Down), "seed {seed}");
        world.start(2);
        assert!(world.until(secs(10), World::all_know_all).is_some(), "seed {seed}");
    }
}

#[test]
fn a_forgotten_member_may_come_back() {
    for seed in 0..4 {
        let mut world = World::formed(seed, 4);
        // Once by waking up in its old life, once by a new start.
        if seed % 2 == 0 {
            world.pause(3, secs(QUARTER + 60));
        } else {
            world.kill(3);
        }
        world.run_for(secs(QUARTER + 50));
        let gone = world.id(3);
        assert!([0, 1, 2].iter().all(|slot| world.node(*slot).member(gone).is_none()), "seed {seed}");
        if seed % 2 == 1 {
            world.start(3);
        }
        world.run_for(secs(20));
        assert!(world.all_know_all(), "seed {seed}");
    }
}
