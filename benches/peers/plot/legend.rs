//! The heading of a panel, and the colour of each peer.

use super::svg::{Anchor, INK, MARGIN, PALE, Svg};
use crate::named::Named as _;
use crate::peer::PeerName;

/// Colours that can be told apart by those who see fewer, too (those of Okabe and Ito).
pub(super) fn colour(peer: PeerName) -> &'static str {
    match peer {
        PeerName::Esker => "#d55e00",
        PeerName::EskerPlain => "#e69f00",
        PeerName::Array => "#999999",
        PeerName::Rocksdb => "#0072b2",
        PeerName::Fjall => "#009e73",
        PeerName::Lmdb => "#cc79a7",
        PeerName::Redb => "#56b4e9",
    }
}

/// What a panel shows, in two lines, and below them the peers.
pub(super) fn heading(svg: &mut Svg, title: &str, what: &str, peers: &[PeerName]) {
    let top = svg.bottom;
    svg.text(MARGIN, top + 8.0, Anchor::Start, 16, INK, title);
    svg.text(MARGIN, top + 28.0, Anchor::Start, 11, PALE, what);
    for (at, peer) in peers.iter().enumerate() {
        let x = MARGIN + 110.0 * at as f64;
        svg.bar(x, top + 42.0, 12.0, 12.0, colour(*peer));
        svg.text(x + 18.0, top + 48.0, Anchor::Start, 12, INK, &peer.name());
    }
    svg.bottom = top + 66.0;
}
