//! Contexts as bytes and as text.

use super::super::*;
use super::Dice;

fn key() -> ContextKey {
    ContextKey::new(7, b"key")
}

#[test]
fn contexts_round_trip_as_bytes_and_as_text() {
    let mut dice = Dice(1);
    for (entries, beside) in [(0, 0), (1, 0), (1, 3), (2, 2), (5, 0), (40, 32), (255, 255)] {
        let context = some(&mut dice, entries, beside);
        assert_eq!(Context::from_bytes(&context.to_bytes(key()), key()), Ok(context.clone()));
        assert_eq!(Context::from_text(&context.to_text(key()), key()), Ok(context));
    }
    let long =
        Context::from((0..300).map(|i| Dot { actor: Actor(i), counter: i + 1 }).collect::<VectorClock>());
    let read = Context::from_bytes(&long.to_bytes(key()), key()).unwrap();
    assert_eq!(read.clock().len(), 255);
    let ends = (read.clock().counter(Actor(299)), read.clock().counter(Actor(44)));
    assert_eq!(ends, (300, 0), "the oldest are not shown");
}

/// What has no room in the bytes is not covered by what they say.
#[test]
fn a_context_that_is_cut_covers_less_and_never_more() {
    let mut dice = Dice(5);
    for (entries, beside) in [(300, 0), (3, 256), (3, 700), (300, 700), (1, 1000)] {
        let context = some(&mut dice, entries, beside);
        let read = Context::from_bytes(&context.to_bytes(key()), key()).unwrap();
        assert!(read.exceptions().len() <= 255 && read.clock().len() <= 255 && !read.is_empty());
        let around =
            |dot: &Dot| [dot.counter - 1, dot.counter, dot.counter + 1].map(|c| Dot { counter: c, ..*dot });
        for dot in context.clock().entries().iter().chain(context.exceptions()).flat_map(around) {
            assert!(context.covers(dot) || !read.covers(dot), "{dot:?} of {entries} and {beside}");
        }
    }
}

/// A context of so many actors, of which so many writes are excepted.
fn some(dice: &mut Dice, entries: u64, beside: u64) -> Context {
    let high = |dice: &mut Dice| (1 << 31) + dice.below(1 << 31);
    let clock = (0..entries).map(|i| Dot { actor: Actor(i * 977), counter: high(dice) }).collect();
    let exception =
        |_| Dot { actor: Actor(dice.below(entries.max(1)) * 977), counter: 1 + dice.below(1 << 31) };
    Context::new(clock, (0..beside).map(exception).collect())
}

/// Counters are common to all keys of a store: the context of one would cover what nobody has seen of another.
#[test]
fn the_context_of_another_key_is_refused() {
    for entries in [0, 1, 3] {
        let context = some(&mut Dice(entries), entries, entries);
        let (bytes, text) = (context.to_bytes(key()), context.to_text(key()));
        for (keyspace, key) in [(7, "kez"), (7, "ke"), (7, ""), (8, "key"), (0, "key"), (7 << 8, "key")] {
            let other = ContextKey::new(keyspace, key.as_bytes());
            assert_eq!(Context::from_bytes(&bytes, other), Err(MalformedContext), "{keyspace} {key}");
            assert_eq!(Context::from_text(&text, other), Err(MalformedContext), "{keyspace} {key}");
        }
    }
}

#[test]
fn what_is_no_context_is_refused() {
    let context = some(&mut Dice(8), 3, 2);
    let bytes = context.to_bytes(key());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Context::from_bytes(&flipped, key()), Err(MalformedContext), "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(Context::from_bytes(&bytes[..cut], key()), Err(MalformedContext));
    }
    let mut dice = Dice(2);
    for _ in 0..5_000 {
        let noise: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
        assert_eq!(Context::from_bytes(&noise, key()), Err(MalformedContext));
        let text: String = noise.iter().map(|&b| char::from(b)).collect();
        assert_eq!(Context::from_text(&text, key()), Err(MalformedContext));
    }
    let digits = context.to_text(key());
    for text in ["", "0", "zz", "é", &format!("{digits}0"), &format!("{digits}00"), &"00".repeat(8000)] {
        assert_eq!(Context::from_text(text, key()), Err(MalformedContext), "{text}");
    }
    // Rightly summed up, but out of order, with a counter that nobody gives, or excepting what is not covered.
    type Parts = (&'static [(u64, u64)], &'static [(u8, u64)]);
    let wrong: [Parts; 8] = [
        (&[(2, 1), (1, 1)], &[]),
        (&[(1, 1), (1, 2)], &[]),
        (&[(1, 0)], &[]),
        (&[(1, 9)], &[(0, 10)]),
        (&[(1, 9)], &[(0, 0)]),
        (&[(1, 9)], &[(1, 3)]),
        (&[(1, 9)], &[(0, 3), (0, 3)]),
        (&[(1, 9), (2, 9)], &[(1, 3), (0, 3)]),
    ];
    for (entries, exceptions) in wrong {
        let bytes = written_out(entries, exceptions);
        assert_eq!(Context::from_bytes(&bytes, key()), Err(MalformedContext), "{entries:?} {exceptions:?}");
    }
    // The form, written out: whoever changes it breaks contexts that clients keep.
    let read = Context::from_bytes(&written_out(&[(5, 9), (6, 8)], &[(0, 9), (1, 2)]), key());
    let dot = |actor, counter| Dot { actor: Actor(actor), counter };
    let clock = [dot(5, 9), dot(6, 8)].into_iter().collect();
    assert_eq!(read, Ok(Context::new(clock, vec![dot(5, 9), dot(6, 2)])));
}

fn written_out(entries: &[(u64, u64)], exceptions: &[(u8, u64)]) -> Vec<u8> {
    let mut covered = vec![1, entries.len() as u8, exceptions.len() as u8];
    entries
        .iter()
        .for_each(|(actor, counter)| covered.extend([actor.to_le_bytes(), counter.to_le_bytes()].concat()));
    exceptions
        .iter()
        .for_each(|(place, counter)| covered.extend([&[*place][..], &counter.to_le_bytes()].concat()));
    summed_up(&covered)
}

/// The bytes with the checksum that those of [`key`] have.
fn summed_up(covered: &[u8]) -> Vec<u8> {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(b"key", 7) as u32;
    let crc = crc32c::crc32c(&[covered, &hash.to_le_bytes()].concat());
    [&crc.to_le_bytes()[..], covered].concat()
}
