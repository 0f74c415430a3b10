//! How many connections come from where, so that one address does not take all the places.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::doorman::network;

/// Connections by address, and for IPv6 by network.
#[derive(Default)]
pub(super) struct Crowds(BTreeMap<IpAddr, usize>);

impl Crowds {
    pub(super) fn count(&self, from: IpAddr) -> usize {
        self.0.get(&network(from)).copied().unwrap_or_default()
    }

    pub(super) fn join(&mut self, from: IpAddr) {
        *self.0.entry(network(from)).or_default() += 1;
    }

    /// Of addresses that have none nothing is kept.
    pub(super) fn leave(&mut self, from: IpAddr) {
        let from = network(from);
        let left = self.0.get_mut(&from).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            self.0.remove(&from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_is_not_remembered() {
        let mut crowds = Crowds::default();
        let [host, neighbour, other]: [IpAddr; 3] =
            ["2001:db8::1", "2001:db8::2", "10.0.0.1"].map(|it| it.parse().unwrap());
        crowds.join(host);
        crowds.join(neighbour);
        crowds.join("::ffff:10.0.0.1".parse().unwrap());
        assert_eq!([host, neighbour, other].map(|it| crowds.count(it)), [2, 2, 1]);
        crowds.leave(host);
        crowds.leave(other);
        assert_eq!([host, neighbour, other].map(|it| crowds.count(it)), [1, 1, 0]);
        crowds.leave(neighbour);
        assert!(crowds.0.is_empty());
    }
}
