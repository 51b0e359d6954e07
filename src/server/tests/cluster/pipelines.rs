//! Many requests on one connection before the first answer.

use super::cluster::Cluster;
use super::connection::{Answer, request};
use std::time::Duration;

/// Numbers that depend on the seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What an answer must be.
enum Expected {
    Exactly(Answer),
    /// The text of some context, and behind it this value.
    Context(Option<String>),
}

#[test]
fn a_pipeline_is_answered_in_order_and_what_comes_behind_a_write_sees_it() {
    let cluster = Cluster::start(3);
    let mut dice = Dice(11);
    for (round, node) in cluster.nodes.iter().cycle().take(9).enumerate() {
        let mut values: Vec<Option<String>> = vec![None; 12];
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        let mut say = |words: &[&str], answer: Option<Expected>| {
            bytes.extend(request(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()));
            expected.extend(answer.map(|answer| (words.join(" "), answer)));
        };
        let exactly = |answer| Some(Expected::Exactly(answer));
        let ok = || exactly(Answer::Word("OK".to_owned()));
        let shown = |value: &Option<String>| match value {
            Some(value) => Answer::Bytes(value.clone().into_bytes()),
            None => Answer::Nothing,
        };
        for number in 0..1200 {
            let which = dice.below(12) as usize;
            let (key, value) = (format!("{round}-{which}"), format!("v{number}"));
            match dice.below(12) {
                0..=3 => {
                    say(&["SET", &key, &value], ok());
                    values[which] = Some(value);
                }
                4..=6 => say(&["GET", &key], exactly(shown(&values[which]))),
                7 => {
                    say(&["DEL", &key], exactly(Answer::Integer(values[which].take().is_some().into())));
                }
                8 => {
                    let (next, after) = ((which + 1) % 12, values[(which + 1) % 12].clone());
                    let both = Answer::List(vec![shown(&values[which]), shown(&after)]);
                    say(&["MGET", &key, &format!("{round}-{next}")], exactly(both));
                }
                9 => say(&["PING", &value], exactly(Answer::Bytes(value.clone().into_bytes()))),
                10 => say(&["EK.GET", &key], Some(Expected::Context(values[which].clone()))),
                _ => {
                    // One whose answer is not wanted is done all the same.
                    say(&["CLIENT", "REPLY", "SKIP"], None);
                    say(&["SET", &key, &value], None);
                    values[which] = Some(value);
                }
            }
        }
        let mut connection = node.connect().unwrap();
        connection.send(&bytes).unwrap();
        for (at, (said, expected)) in expected.into_iter().enumerate() {
            let answer = connection.answer().unwrap();
            match expected {
                Expected::Exactly(wanted) => assert_eq!(answer, wanted, "round {round}, answer {at}: {said}"),
                Expected::Context(value) => {
                    let Answer::List(list) = &answer else {
                        panic!("round {round}, answer {at}: {said}: {answer:?}")
                    };
                    let values: Vec<String> = list[1..].iter().map(Answer::text).collect();
                    assert_eq!(
                        values,
                        value.into_iter().collect::<Vec<_>>(),
                        "round {round}, answer {at}: {said}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_ready_is_sent_while_something_slow_is_waited_for() {
    let mut cluster = Cluster::start(3);
    assert_eq!(cluster.nodes[0].say("SET a 1").unwrap(), Answer::Word("OK".to_owned()));
    cluster.nodes[2].kill();
    let mut connection = cluster.nodes[0].connect().unwrap();
    // At ALL a write waits for the one that is not there, or is refused once that is known; the read in front of it does not.
    let mut bytes = request(&[b"GET", b"a"]);
    bytes.extend(request(&[b"EK.SET", b"b", b"2", b"LEVEL", b"ALL"]));
    bytes.extend(request(&[b"GET", b"a"]));
    connection.send(&bytes).unwrap();
    assert_eq!(connection.answer().unwrap(), Answer::Bytes(b"1".to_vec()));
    assert!(matches!(connection.answer().unwrap(), Answer::Error(_)));
    assert_eq!(connection.answer().unwrap(), Answer::Bytes(b"1".to_vec()));
    // A client that goes away in the middle leaves nothing behind that hinders others.
    for _ in 0..50 {
        let mut leaver = cluster.nodes[0].connect().unwrap();
        leaver.send(&request(&[b"SET", b"c", b"3"]).repeat(100)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(cluster.nodes[1].say("SET d 4").unwrap(), Answer::Word("OK".to_owned()));
}
