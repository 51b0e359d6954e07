//! [`Exchange`]: trading places until everybody has its share, moving as little as possible.
//!
//! An exchange gives a place of one row from a member that has it to one that has not, and leaves the row spread as it must
//! be. It *costs* what it adds to the replicas that stand where they did not stand before: 1, 0, or -1 where it takes one
//! back. Seen from far, members are the points of a graph, and there is an edge from v to w if some row allows v to give to
//! w, as cheap as the cheapest such row. A path from a member with too much to one with too little settles one place:
//!
//! ```text
//!   row 17:  a b c         a has one too many, d one too few; but row 17 is the only one with room for d,
//!   row 40:  a e f         and there it is b that can give:   a ──(row 40: a gives to b)──► b ──(row 17)──► d
//! ```
//!
//! Rows begin as cheap as they can be. What a path costs beyond what the shares of those who gain grow by is its *price*:
//! places moved for nothing. Cheapest paths are taken first (successive shortest paths; that rows are bases of a matroid
//! makes single exchanges enough), and of those that cost the same the shortest. Paths with a price are taken only where a
//! member would otherwise miss its share by more than is promised, and while there are few of them.
//!
//! Invariant: whatever happens on the way, every row is spread as it must be.

use super::placement::{Origin, tolerance};
use super::scatter;
use super::spread::Spread;

/// How costs -1, 0 and 1 are counted.
const CLASSES: usize = 3;

/// In the length of a path: a place moved, a member that gives although it has not too much (or takes although it has
/// not too little), and a step. In each, any number of the next stays below one.
const MOVE: i64 = 1 << 32;
const UNFAIR: i64 = 1 << 16;
const STEP: i64 = 1;

/// Places are moved for nothing, where no promise demands it, for up to this part of what the shares grow by.
const SPENT_FOR_BALANCE: i64 = 50;

pub(super) struct Exchange<'a> {
    spread: &'a Spread,
    origin: &'a Origin,
    n: usize,
    rows: Vec<u16>,
    places: Vec<u32>,
    /// What the members had in the previous ring.
    before: Vec<u32>,
    /// By giver, taker and cost: the number of rows in which that exchange is possible.
    possible: Vec<u32>,
    /// The number of places that were moved so far.
    moved: i64,
    /// Where the next search for a row begins.
    turn: u64,
}

/// Where paths may begin and end, by member: with which handicap, if at all.
struct Ends {
    give: Vec<Option<i64>>,
    take: Vec<Option<i64>>,
}

impl<'a> Exchange<'a> {
    /// `rows` are full, spread as they must be, and keep as many of the previous replicas as can be kept.
    pub(super) fn new(spread: &'a Spread, origin: &'a Origin, rows: Vec<u16>) -> Exchange<'a> {
        let n = spread.places as usize;
        let members = spread.members();
        let mut exchange = Exchange {
            spread,
            origin,
            n,
            places: vec![0; members],
            before: origin.places(),
            possible: vec![0; members * members * CLASSES],
            moved: 0,
            turn: 0,
            rows,
        };
        for p in 0..exchange.count() {
            exchange.count_row(p, 1);
            for at in 0..n {
                let member = exchange.row(p)[at];
                exchange.places[usize::from(member)] += 1;
                exchange.moved += i64::from(!origin.row(p).contains(&member));
            }
        }
        exchange
    }

    pub(super) fn into_rows(self) -> Vec<u16> {
        self.rows
    }

    fn count(&self) -> u32 {
        (self.rows.len() / self.n) as u32
    }

    fn row(&self, p: u32) -> &[u16] {
        &self.rows[p as usize * self.n..][..self.n]
    }

    /// Trades until the shares are met, or as nearly as pays.
    pub(super) fn settle(&mut self, shares: &[u32]) {
        for cost in 0..=1 {
            self.trade_directly(shares, cost);
        }
        self.trade_all(|exchange| Some((exchange.unsettled(shares), 0)));
        self.trade_all(|exchange| Some((exchange.broken(shares), i64::MAX)));
        for price in 1..=2 {
            self.trade_all(|exchange| exchange.affords(price).then(|| (exchange.unsettled(shares), price)));
        }
    }

    /// Trades only until nobody misses its share by more than is promised, for the least that has to be moved.
    pub(super) fn settle_barely(&mut self, shares: &[u32]) {
        // Measured against such shares nothing grows, so that only what moves decides between paths.
        self.before.fill(u32::MAX);
        self.trade_all(|exchange| Some((exchange.broken(shares), i64::MAX)));
    }

    /// Whether much more was moved than the shares have grown by.
    pub(super) fn is_wasteful(&self) -> bool {
        self.origin.is_some() && self.moved * 25 > self.grown() * 26
    }

    /// How many replicas stand where they did not stand before.
    pub(super) fn moved(&self) -> i64 {
        self.moved
    }

    /// What the shares of those who gained have grown by.
    fn grown(&self) -> i64 {
        let grown = |(new, old): (&u32, &u32)| i64::from(new.saturating_sub(*old));
        self.places.iter().zip(&self.before).map(grown).sum()
    }

    /// Trades along one path after the other, as long as there are ends to connect for a price. Each path settles a place,
    /// so there are fewer of them than places.
    fn trade_all(&mut self, ends: impl Fn(&Self) -> Option<(Ends, i64)>) {
        for _ in 0..self.rows.len() {
            match ends(self) {
                Some((ends, price)) if self.trade(&ends, price) => {}
                _ => break,
            }
        }
    }

    /// Whether one more path of this price stays within what may be moved for nothing.
    fn affords(&self, price: i64) -> bool {
        let grown = self.grown();
        self.moved - grown + price <= grown / SPENT_FOR_BALANCE
    }

    /// What the shares grow by less if this member gives a place.
    fn shrinks(&self, giver: usize) -> i64 {
        i64::from(self.places[giver] > self.before[giver])
    }

    /// What the shares grow by if this member takes a place.
    fn grows(&self, taker: usize) -> i64 {
        i64::from(self.places[taker] >= self.before[taker])
    }

    /// From whoever has more than its share to whoever has less.
    fn unsettled(&self, shares: &[u32]) -> Ends {
        let members = || shares.iter().copied().enumerate();
        let gives = |(at, share)| (self.places[at] > share).then(|| self.shrinks(at) * MOVE);
        let takes = |(at, share)| (self.places[at] < share).then(|| -self.grows(at) * MOVE);
        Ends { give: members().map(gives).collect(), take: members().map(takes).collect() }
    }

    /// From or to whoever misses its share by more than is promised. The other end may miss its own share for that, within
    /// the promise; better is one that does not.
    fn broken(&self, shares: &[u32]) -> Ends {
        let mut ends = Ends { give: Vec::new(), take: Vec::new() };
        let missing = |(has, share): (&u32, &u32)| has + tolerance(*share) < *share;
        let short = self.places.iter().zip(shares).any(missing);
        for (at, share) in shares.iter().copied().enumerate() {
            let has = self.places[at];
            let (least, most) = (share - tolerance(share), share + tolerance(share));
            let unfair = |unfair: bool| if unfair { UNFAIR } else { 0 };
            let give = self.shrinks(at) * MOVE + unfair(has <= share);
            let take = -self.grows(at) * MOVE + unfair(has >= share);
            let (may_give, may_take) =
                if short { (has > least, has < least) } else { (has > most, has < most) };
            ends.give.push(may_give.then_some(give));
            ends.take.push(may_take.then_some(take));
        }
        ends
    }

    /// Trades along single edges of this cost, in bulk, where that moves nothing for nothing. Every giver gives to each
    /// taker its part, so that nobody gets all its places from one.
    fn trade_directly(&mut self, shares: &[u32], cost: i64) {
        let mut part = 4;
        while part > 0 {
            let mut traded = false;
            for (giver, share) in shares.iter().enumerate() {
                let lack = |(has, share): (&u32, &u32)| u64::from(share.saturating_sub(*has));
                let lack: u64 = self.places.iter().zip(shares).map(lack).sum();
                let over = u64::from(self.places[giver].saturating_sub(*share));
                for (taker, wanted) in shares.iter().enumerate() {
                    let lacks = u64::from(wanted.saturating_sub(self.places[taker]));
                    let left = u64::from(self.places[giver].saturating_sub(*share));
                    let amount = (over * lacks).div_ceil(lack.max(1)).div_ceil(part).min(lacks).min(left);
                    for _ in 0..amount {
                        let price = cost + self.shrinks(giver) - self.grows(taker);
                        if price > 0 || self.possible[self.index(giver, taker, cost)] == 0 {
                            break;
                        }
                        self.give(giver, taker, cost);
                        traded = true;
                    }
                }
            }
            if !traded {
                part -= 1;
            }
        }
    }

    /// Trades one place along a shortest path whose price is at most `limit`. Says whether it did.
    fn trade(&mut self, ends: &Ends, limit: i64) -> bool {
        let Some(path) = self.shortest_path(ends, limit) else { return false };
        for (step, pair) in path.windows(2).enumerate() {
            let (giver, taker) = (usize::from(pair[0]), usize::from(pair[1]));
            // An earlier step of this path may have used up the row that this one was to use. Then the path ends here, at a
            // member that another path will start from.
            let Some(cost) = self.cheapest(giver, taker) else { return step > 0 };
            self.give(giver, taker, cost);
        }
        true
    }

    fn shortest_path(&self, ends: &Ends, limit: i64) -> Option<Vec<u16>> {
        const FAR: i64 = i64::MAX / 2;
        let members = self.places.len();
        let mut length: Vec<i64> = ends.give.iter().map(|handicap| handicap.unwrap_or(FAR)).collect();
        let mut from: Vec<u16> = (0..members as u16).collect();
        // Bellman and Ford: costs can be negative, circles cannot.
        for _ in 0..members {
            let mut shorter = false;
            for giver in 0..members {
                if length[giver] >= FAR {
                    continue;
                }
                for taker in 0..members {
                    let Some(cost) = self.cheapest(giver, taker) else { continue };
                    let through = length[giver] + cost * MOVE + STEP;
                    if through < length[taker] {
                        length[taker] = through;
                        from[taker] = giver as u16;
                        shorter = true;
                    }
                }
            }
            if !shorter {
                break;
            }
        }
        let whole = |taker: usize| ends.take[taker].map(|handicap| (length[taker] + handicap, taker as u16));
        let (total, mut at) = (0..members).filter_map(whole).min()?;
        if total >= limit.saturating_add(1).saturating_mul(MOVE) || total >= FAR {
            return None;
        }
        let mut path = vec![at];
        while from[usize::from(at)] != at {
            at = from[usize::from(at)];
            path.push(at);
            if path.len() > members {
                return None;
            }
        }
        path.reverse();
        Some(path)
    }

    fn index(&self, giver: usize, taker: usize, cost: i64) -> usize {
        (giver * self.places.len() + taker) * CLASSES + (cost + 1) as usize
    }

    fn cheapest(&self, giver: usize, taker: usize) -> Option<i64> {
        (-1..=1).find(|cost| self.possible[self.index(giver, taker, *cost)] > 0)
    }

    /// Makes one exchange that is known to be possible in some row, in a row taken at random.
    fn give(&mut self, giver: usize, taker: usize, cost: i64) {
        self.turn += 1;
        let count = self.count();
        let start = scatter(self.turn, 0) % u64::from(count);
        let rows = (start as u32..count).chain(0..start as u32);
        let allowed = |p: &u32| {
            let row = self.row(*p);
            row.contains(&(giver as u16)) && !row.contains(&(taker as u16)) && {
                let (gives, takes) = (self.stand(*p, giver as u16), self.stand(*p, taker as u16));
                takes.cost - gives.cost == cost && gives.may_give_to(&takes)
            }
        };
        let Some(p) = rows.into_iter().find(allowed) else { return };
        self.count_row(p, -1);
        for at in &mut self.rows[p as usize * self.n..][..self.n] {
            if usize::from(*at) == giver {
                *at = taker as u16;
            }
        }
        self.count_row(p, 1);
        self.places[giver] -= 1;
        self.places[taker] += 1;
        self.moved += cost;
    }

    /// How a member stands to row `p`.
    fn stand(&self, p: u32, member: u16) -> Stand {
        let (row, spread) = (self.row(p), self.spread);
        let (zone, dc) = (spread.zone(member), spread.dc(member));
        let in_zone = row.iter().filter(|at| spread.zone(**at) == zone).count() as u32;
        let in_dc = row.iter().filter(|at| spread.dc(**at) == dc).count() as u32;
        let (zone_bounds, dc_bounds) = (spread.zone_bounds(member), spread.dc_bounds(member));
        Stand {
            zone,
            dc,
            cost: i64::from(!self.origin.row(p).contains(&member)),
            zone_spares: in_zone > zone_bounds.least,
            zone_has_room: in_zone < zone_bounds.most,
            dc_spares: in_dc > dc_bounds.least,
            dc_has_room: in_dc < dc_bounds.most,
        }
    }

    /// Counts the exchanges that row `p` allows, in or out.
    fn count_row(&mut self, p: u32, sign: i32) {
        let givers: Vec<(u16, Stand)> = self.row(p).iter().map(|at| (*at, self.stand(p, *at))).collect();
        for taker in 0..self.places.len() {
            if self.row(p).contains(&(taker as u16)) {
                continue;
            }
            let takes = self.stand(p, taker as u16);
            for (giver, gives) in &givers {
                if gives.may_give_to(&takes) {
                    let index = self.index(usize::from(*giver), taker, takes.cost - gives.cost);
                    self.possible[index] = self.possible[index].wrapping_add_signed(sign);
                }
            }
        }
    }
}

/// How a member stands to a row: what keeps it from giving up a place or from taking one.
struct Stand {
    zone: u16,
    dc: u16,
    /// 1 if it was not in this row of the previous ring.
    cost: i64,
    zone_spares: bool,
    zone_has_room: bool,
    dc_spares: bool,
    dc_has_room: bool,
}

impl Stand {
    /// Whether the row stays spread as it must be.
    fn may_give_to(&self, taker: &Stand) -> bool {
        let between_dcs = self.dc == taker.dc || (self.dc_spares && taker.dc_has_room);
        self.zone == taker.zone || (self.zone_spares && taker.zone_has_room && between_dcs)
    }
}
