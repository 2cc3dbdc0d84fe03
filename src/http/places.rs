//! The places of connections: how many there are, how many of one address, and those that only probes may have.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use crate::metrics;

/// Connections at a time.
pub(super) const CONNECTIONS_MAX: usize = 4_096;
/// Connections at a time of one address, so that one client cannot take all places. A proxy in front of us has one address.
const ADDRESS_MAX: usize = 512;
/// Connections beyond these limits, for probes alone. The latest have them: who only holds one loses it to the next.
const PROBES_MAX: usize = 64;

/// The places that are taken.
#[derive(Default)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    probing: VecDeque<AbortHandle>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among all connections, given back when dropped.
pub(super) struct Place {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// A place for a connection from `address`; `None` where it may only probe.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        let limit = match (taken.all, of_address) {
            (CONNECTIONS_MAX.., _) => "all",
            (_, ADDRESS_MAX..) => "address",
            _ => {
                taken.all += 1;
                taken.by_address.insert(address, of_address + 1);
                metrics::http_connections().set(taken.all as f64);
                return Some(Place { address, taken: self.taken.clone() });
            }
        };
        metrics::http_connections_refused(limit).inc();
        None
    }

    /// Remembers a connection that may only probe, and ends the oldest of them where there are too many.
    pub(super) fn probes(&mut self, connection: AbortHandle) {
        self.probing.retain(|connection| !connection.is_finished());
        self.probing.push_back(connection);
        if self.probing.len() > PROBES_MAX {
            self.probing.drain(..1).for_each(|oldest| oldest.abort());
        }
    }

    /// Whether every place was given back.
    pub(super) fn are_free(&self) -> bool {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).all == 0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        metrics::http_connections().set(taken.all as f64);
        if let Some(of_address) = taken.by_address.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// The network that counts as one client: an IPv6 host usually has all addresses of a /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + last).to_be_bytes())
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::default();
        let held: Vec<_> = (0..600).filter_map(|_| places.take(address(1))).collect();
        assert_eq!(held.len(), ADDRESS_MAX);
        assert!(places.take(address(2)).is_some());
        drop(held);
        assert!(places.take(address(1)).is_some() && places.are_free());
    }

    #[test]
    fn many_addresses_get_no_more_than_all_places() {
        let places = Places::default();
        let held: Vec<_> = (0..5_000).filter_map(|n| places.take(address(n))).collect();
        assert_eq!(held.len(), CONNECTIONS_MAX);
        drop(held);
        assert!(places.are_free());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let [a, b, c] =
            ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"].map(|a| network(a.parse().expect("an address")));
        assert!(a == b && a != c);
        assert_eq!(network("::ffff:10.0.0.1".parse().expect("an address")), address(1));
    }
}
