//! A page of keys, and all keys, that match a pattern.

use super::glob::Glob;
use super::plain::PlainKeyspace;
use std::ops::ControlFlow;

/// Which keys are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) pattern: Option<Glob>,
    /// Keys that are looked at for one page; those that do not match count.
    pub(crate) count: usize,
}

/// Keys in order, and the one to go on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) next: Option<Vec<u8>>,
}

impl PlainKeyspace {
    /// Shows the keys that match in order, until `visit` says that it has enough. What all of them begin with is used: no
    /// key outside of it is looked at.
    pub(crate) fn visit_matching(
        &self,
        pattern: &Glob,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> esker::Result<()> {
        let prefix = pattern.prefix();
        self.visit(prefix, |key| {
            let go_on = key.starts_with(prefix) && (!pattern.matches(key) || visit(key));
            if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    }

    /// The keys that are wanted, among the next ones from `from` on.
    pub(crate) fn page(&self, from: &[u8], wanted: &Wanted) -> esker::Result<Page> {
        let prefix = wanted.pattern.as_ref().map_or(&[][..], |glob| glob.prefix());
        let mut page = Page::default();
        let mut seen = 0;
        self.visit(from.max(prefix), |key| {
            if !key.starts_with(prefix) {
                return ControlFlow::Break(());
            }
            if seen == wanted.count {
                page.next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            seen += 1;
            if wanted.pattern.as_ref().is_none_or(|glob| glob.matches(key)) {
                page.keys.push(key.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(page)
    }

    /// Some key: the first one behind a random place between the first and the last. Not every key is equally likely.
    pub(crate) fn random_key(&self, random: u64) -> esker::Result<Option<Vec<u8>>> {
        let (Some((first, _)), Some((last, _))) = (self.data.first()?, self.data.last()?) else {
            return Ok(None);
        };
        let shared = first.iter().zip(last.iter()).take_while(|(a, b)| a == b).count();
        let number = |key: &[u8]| {
            let mut head = [0; 8];
            let tail = key.get(shared..).unwrap_or_default();
            let len = tail.len().min(8);
            head[..len].copy_from_slice(&tail[..len]);
            u64::from_be_bytes(head)
        };
        let (low, high) = (number(&first), number(&last));
        let place = low + random % high.saturating_sub(low).max(1);
        let mut from = first.get(..shared).unwrap_or_default().to_vec();
        from.extend_from_slice(&place.to_be_bytes());
        for from in [from.as_slice(), &[]] {
            let mut found = None;
            self.visit(from, |key| {
                found = Some(key.to_vec());
                ControlFlow::Break(())
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
