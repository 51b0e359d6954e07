//! Numbers of questions and store operations: each names the room of the node that waits for its outcome.

/// The room that a ticket or question belongs to: its outcome goes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Replica = 0,
    Coordinator = 1,
    Handoff = 2,
    Rebuild = 3,
    Formation = 4,
    Marks = 5,
}

/// The low bits of a number that name the room.
const ROOM_BITS: u32 = 3;

/// The number of a room's question or operation.
pub(crate) fn of_room(number: u64, room: Room) -> u64 {
    number << ROOM_BITS | room as u64
}

/// The room that a number belongs to. Numbers come from outside too, and may belong to none.
pub(crate) fn room_of(number: u64) -> Option<Room> {
    match number & ((1 << ROOM_BITS) - 1) {
        0 => Some(Room::Replica),
        1 => Some(Room::Coordinator),
        2 => Some(Room::Handoff),
        3 => Some(Room::Rebuild),
        4 => Some(Room::Formation),
        5 => Some(Room::Marks),
        _ => None,
    }
}
