//! What the simulated environment keeps, loses and refuses.

use super::*;

const MODES: [CrashMode; 4] =
    [CrashMode::LoseAll, CrashMode::KeepAll, CrashMode::Subset(1), CrashMode::TornLast(1)];

fn path(name: &str) -> &Path {
    Path::new(name)
}

/// A file with this content, synced, under a durable name.
fn durable(env: &SimEnv, name: &str, content: &[u8]) -> Box<dyn WritableFile> {
    let file = env.create(path(name)).unwrap();
    file.append(content).unwrap();
    file.sync().unwrap();
    env.sync_dir(path(name).parent().unwrap()).unwrap();
    file
}

#[test]
fn synced_data_under_synced_names_survives_everything() {
    for mode in MODES {
        let env = SimEnv::new();
        env.create_dir_all(path("a/b")).unwrap();
        durable(&env, "a/b/file", b"content");
        let after = env.power_loss(mode);
        assert_eq!(after.read_file("a/b/file").unwrap(), b"content", "{mode:?}");
        assert_eq!(after.read_dir(path("/a/./b")).unwrap(), ["file"]);
    }
}

#[test]
fn a_name_that_was_not_synced_may_go() {
    let env = SimEnv::new();
    env.create(path("file")).unwrap().sync().unwrap();
    assert!(env.power_loss(CrashMode::LoseAll).files().is_empty());
    assert_eq!(env.power_loss(CrashMode::KeepAll).files().len(), 1);
    // A removal too.
    env.sync_dir(path("")).unwrap();
    env.remove_file(path("file")).unwrap();
    assert!(env.files().is_empty());
    assert_eq!(env.power_loss(CrashMode::LoseAll).files().len(), 1);
    assert!(env.power_loss(CrashMode::KeepAll).files().is_empty());
}

#[test]
fn sectors_and_lengths_survive_in_any_subset() {
    let env = SimEnv::new();
    let file = durable(&env, "file", &[1; 700]);
    file.append(&[2; 2000]).unwrap();
    assert_eq!(env.unsynced_bytes("file").unwrap(), 2000);
    let (mut hole, mut short, mut whole) = (false, false, false);
    for seed in 0..200 {
        let content = env.power_loss(CrashMode::Subset(seed)).read_file("file").unwrap();
        assert_eq!(content[..700], [1; 700], "seed {seed}");
        assert!((700..=2700).contains(&content.len()));
        for (i, sector) in content.chunks(SECTOR).enumerate() {
            let new: Vec<u8> = (0..sector.len()).map(|j| if i * SECTOR + j < 700 { 1 } else { 2 }).collect();
            let old: Vec<u8> = new.iter().map(|&b| if b == 2 { 0 } else { b }).collect();
            assert!(sector == new || sector == old, "seed {seed}, sector {i} is a mixture");
        }
        short |= content.len() < 2700;
        whole |= content.len() == 2700 && !content.contains(&0);
        hole |= content.iter().position(|&b| b == 0) < content.iter().rposition(|&b| b == 2)
            && content.contains(&0);
        assert_eq!(content, env.power_loss(CrashMode::Subset(seed)).read_file("file").unwrap());
    }
    assert!(hole && short && whole, "hole {hole}, short {short}, whole {whole}");
}

#[test]
fn the_last_sector_may_be_torn() {
    let env = SimEnv::new();
    let file = durable(&env, "file", &[1; 100]);
    file.append(&[2; 1000]).unwrap();
    let mut torn = 0;
    for seed in 0..50 {
        let content = env.power_loss(CrashMode::TornLast(seed)).read_file("file").unwrap();
        assert_eq!(content[..100], [1; 100]);
        assert_eq!(content[100..1024], [2; 924]);
        torn += usize::from(content[1024..] != [2; 76]);
    }
    assert!(torn > 25, "torn {torn} times of 50");
}

#[test]
fn a_renaming_is_one_step() {
    let env = SimEnv::new();
    durable(&env, "current", b"old");
    durable(&env, "current.tmp", b"new");
    env.rename(path("current.tmp"), path("current")).unwrap();
    assert_eq!(env.read_file("current").unwrap(), b"new");
    let mut seen = [0; 2];
    for seed in 0..64 {
        let after = env.power_loss(CrashMode::Subset(seed));
        let replaced = after.read_file("current").unwrap() == b"new";
        assert_eq!(after.read_file("current.tmp").is_err(), replaced);
        seen[usize::from(replaced)] += 1;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    env.sync_dir(path("")).unwrap();
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("current").unwrap(), b"new");
}

#[test]
fn directories_are_renamed_with_what_is_in_them() {
    let env = SimEnv::new();
    env.create_dir_all(path("new.tmp")).unwrap();
    durable(&env, "file", b"content");
    env.hard_link(path("file"), path("new.tmp/link")).unwrap();
    env.sync_dir(path("new.tmp")).unwrap();
    env.rename(path("new.tmp"), path("new")).unwrap();
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("new.tmp/link").unwrap(), b"content");
    assert_eq!(env.power_loss(CrashMode::KeepAll).read_file("new/link").unwrap(), b"content");
    env.remove_dir_all(path("new")).unwrap();
    assert_eq!(env.read_file("file").unwrap(), b"content");
    assert_eq!(env.read_dir(path("new")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_failed_sync_loses_what_it_was_to_write() {
    let env = SimEnv::new();
    let file = durable(&env, "file", b"first.");
    file.append(b"second.").unwrap();
    env.fail_at(env.calls(), Fault::FailedSync);
    assert!(file.sync().is_err());
    file.append(b"third.").unwrap();
    file.sync().unwrap();
    // The page cache still shows it; the device never got it.
    assert_eq!(env.read_file("file").unwrap(), b"first.second.third.");
    assert_eq!(env.kill().read_file("file").unwrap(), b"first.second.third.");
    let after = env.power_loss(CrashMode::KeepAll);
    assert_eq!(after.read_file("file").unwrap(), b"first.\0\0\0\0\0\0\0third.");
    assert_eq!(env.faults_fired(), 1);
}

#[test]
fn nothing_works_after_a_stop() {
    let env = SimEnv::new();
    let file = durable(&env, "file", b"synced.");
    env.fail_at(env.calls(), Fault::Stop);
    let error = file.append(b"perhaps").unwrap_err();
    assert!(error.get_ref().is_some_and(|e| e.is::<PowerLoss>()));
    let calls = env.calls();
    assert!(file.append(b"no").is_err());
    assert!(file.sync().is_err());
    assert!(env.open(path("file")).is_err());
    assert!(env.truncate(path("file"), 0).is_err());
    assert!(env.remove_file(path("file")).is_err());
    assert!(env.is_stopped());
    assert_eq!(env.calls(), calls);
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("file").unwrap(), b"synced.");
    let after = env.power_loss(CrashMode::KeepAll);
    assert_eq!(after.read_file("file").unwrap(), b"synced.perhaps");
    assert!(after.open(path("file")).is_ok());
}

#[test]
fn faults_meet_the_calls_that_can_fail_like_this() {
    let env = SimEnv::new();
    durable(&env, "file", b"content");
    env.fail_from(env.calls(), Fault::NoSpace);
    let file = env.open(path("file")).unwrap();
    assert_eq!(file.read(0, 7).unwrap(), b"content");
    assert_eq!(env.create(path("other")).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(env.hard_link(path("file"), path("b")).unwrap_err().kind(), io::ErrorKind::StorageFull);
    env.clear_faults();
    let other = env.create(path("other")).unwrap();
    env.fail_at(env.calls(), Fault::Io);
    assert!(other.append(b"12345678").is_err());
    assert_eq!(env.read_file("other").unwrap(), b"1234");
    env.fail_at(env.calls(), Fault::Io);
    assert!(file.read(0, 7).is_err());
    assert_eq!(file.read(0, 7).unwrap(), b"content");
    assert_eq!(file.read(1, 7).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_truncated_file_is_durable_at_once() {
    let env = SimEnv::new();
    durable(&env, "file", &[7; 2000]).append(b"more").unwrap();
    env.truncate(path("file"), 600).unwrap();
    for mode in MODES {
        assert_eq!(env.power_loss(mode).read_file("file").unwrap(), [7; 600]);
    }
    // Creating it anew is not.
    env.create(path("file")).unwrap().append(b"new").unwrap();
    assert_eq!(env.read_file("file").unwrap(), b"new");
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("file").unwrap(), [7; 600]);
    assert_eq!(env.power_loss(CrashMode::KeepAll).read_file("file").unwrap(), b"new");
}

#[test]
fn a_removed_file_stays_with_those_who_have_it() {
    let env = SimEnv::new();
    durable(&env, "file", b"content");
    let (open, map) = (env.open(path("file")).unwrap(), env.map(path("file"), 4).unwrap());
    env.remove_file(path("file")).unwrap();
    env.sync_dir(path("")).unwrap();
    for i in 0..1000 {
        let name = format!("{i}");
        drop(durable(&env, &name, b"x"));
        env.remove_file(path(&name)).unwrap();
    }
    assert_eq!(open.read(0, 7).unwrap(), b"content");
    assert_eq!(map.read(0, 4).unwrap(), b"cont");
    assert!(env.state().disk.files.len() < 200, "forgotten files stay in memory");
}

#[test]
fn locks_are_held_like_the_operating_systems_and_end_with_the_process() {
    let env = SimEnv::new();
    let refused = |env: &SimEnv, mode| matches!(env.lock(path("LOCK"), mode), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
    drop(env.lock(path("LOCK"), LockMode::Shared).unwrap());
    let writer = env.lock(path("LOCK"), LockMode::Exclusive).unwrap();
    assert!(refused(&env, LockMode::Exclusive) && refused(&env, LockMode::Shared));
    assert!(!refused(&env.kill(), LockMode::Exclusive));
    assert!(!refused(&env.power_loss(CrashMode::KeepAll), LockMode::Exclusive));
    drop(writer);
    let readers = [(); 2].map(|()| env.lock(path("LOCK"), LockMode::Shared).unwrap());
    assert!(refused(&env, LockMode::Exclusive));
    drop(readers);
    assert!(!refused(&env, LockMode::Exclusive));
}

#[test]
fn syncs_can_be_held_back_while_reads_go_on() {
    let env = SimEnv::new();
    let file = durable(&env, "file", b"content");
    let held = env.hold_syncs();
    std::thread::scope(|scope| {
        let sync = scope.spawn(|| file.sync());
        held.wait_for(1);
        assert_eq!(env.open(path("file")).unwrap().read(0, 7).unwrap(), b"content");
        assert!(!sync.is_finished());
        drop(held);
        sync.join().unwrap().unwrap();
    });
}

#[test]
fn calls_are_traced_and_the_clock_is_set_by_hand() {
    let env = SimEnv::new();
    env.start_trace();
    durable(&env, "file", b"content");
    let trace: Vec<String> = env.trace().iter().map(ToString::to_string).collect();
    assert_eq!(trace, ["     0 Create file", "     1 Append file 7", "     2 Sync file", "     3 SyncDir "]);
    let (millis, monotonic) = (env.now_millis(), env.monotonic());
    env.advance(Duration::from_millis(1500));
    assert_eq!(env.now_millis(), millis + 1500);
    assert_eq!(env.monotonic(), monotonic + Duration::from_millis(1500));
}

#[test]
fn room_is_zeros_that_appends_fill() {
    let env = SimEnv::new();
    let file = durable(&env, "file", b"abc");
    file.reserve(3, 9).unwrap();
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("file").unwrap(), b"abc");
    assert_eq!(env.power_loss(CrashMode::KeepAll).read_file("file").unwrap(), b"abc\0\0\0\0\0\0");
    file.sync().unwrap();
    file.append(b"defg").unwrap();
    assert_eq!(env.read_file("file").unwrap(), b"abcdefg\0\0");
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("file").unwrap(), b"abc\0\0\0\0\0\0");
    file.sync().unwrap();
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("file").unwrap(), b"abcdefg\0\0");
    file.append(b"hij").unwrap();
    assert_eq!(env.read_file("file").unwrap(), b"abcdefghij");
    file.reserve(10, 20).unwrap();
    file.reserve(20, 15).unwrap();
    assert_eq!(env.read_file("file").unwrap().len(), 20);
    file.take_back(10).unwrap();
    file.sync().unwrap();
    assert_eq!(env.power_loss(CrashMode::LoseAll).read_file("file").unwrap(), b"abcdefghij");
}
