//! Ports for the instances of endpoints.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The ports that instances have been given.
///
/// An instance listens on its port some time after it was started; until then only this list knows that it is taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ports(Arc<Mutex<HashSet<u16>>>);

/// A port that no other instance is given while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    given: Ports,
}

impl Ports {
    /// A port on loopback that nobody listens on at the moment and no instance has been given.
    pub(crate) fn free(&self) -> io::Result<Port> {
        loop {
            let number = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if self.lock().insert(number) {
                return Ok(Port { number, given: self.clone() });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Port {
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.given.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_until_it_comes_back() {
        let ports = Ports::default();
        // So many that the system offers some of them again.
        let given: Vec<Port> = (0..2000).map(|_| ports.free().unwrap()).collect();
        let distinct: HashSet<u16> = given.iter().map(Port::number).collect();
        assert_eq!(distinct.len(), given.len());
        drop(given);
        assert!(ports.lock().is_empty());
    }
}
