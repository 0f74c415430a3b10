//! The newest messages of a stream in memory, as they go over the wire. Whoever sends them has a
//! position of his own here, so that one copy serves every connection, live and catching up.

use std::collections::VecDeque;

use crate::wire::soup;

/// A window begins this small, because most streams stay small.
const BYTES_MIN: usize = 4 << 10;
/// The place of one of so many messages is noted.
const PLACE_EVERY: u64 = 64;

/// The newest messages of a stream, each as a packet of `wire::soup`. Positions count all bytes
/// that ever went through, so one that was overwritten is known by being too small.
#[derive(Debug)]
pub struct Window {
    /// A power of two, or nothing yet.
    bytes: Vec<u8>,
    bytes_max: usize,
    start: u64,
    end: u64,
    /// The number of the message at `start` …
    first: u64,
    /// … and of the one that comes next.
    next: u64,
    /// Where some of the messages stand, to find the others from.
    places: VecDeque<(u64, u64)>,
}

impl Window {
    /// An empty window before message `next`, which may grow to `bytes_max`.
    pub fn new(next: u64, bytes_max: usize) -> Self {
        let bytes_max = bytes_max.next_power_of_two().max(BYTES_MIN);
        Self {
            bytes: Vec::new(),
            bytes_max,
            start: 0,
            end: 0,
            first: next,
            next,
            places: VecDeque::new(),
        }
    }

    /// The number of the message that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The number of the oldest message here.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Where the next message will stand.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether what stands at this position was not overwritten.
    pub fn holds(&self, position: u64) -> bool {
        position >= self.start
    }

    /// Adds a message; the oldest make room.
    ///
    /// # Panics
    ///
    /// If it is longer than a packet of the protocol.
    pub fn push(&mut self, message: &[u8]) {
        let bytes = soup::HEADER_BYTES + message.len();
        self.make_room(bytes);
        if self.next.is_multiple_of(PLACE_EVERY) {
            self.places.push_back((self.next, self.end));
        }
        let length = u16::try_from(1 + message.len()).expect("a message fits a packet");
        let [high, low] = length.to_be_bytes();
        self.put(&[high, low, b'S']);
        self.put(message);
        self.next += 1;
    }

    fn make_room(&mut self, bytes: usize) {
        while self.kept() + bytes > self.bytes.len() {
            if self.bytes.len() < self.bytes_max {
                self.grow(bytes);
            } else {
                self.start += self.packet_bytes(self.start);
                self.first += 1;
            }
        }
        while self.places.front().is_some_and(|(number, _)| *number < self.first) {
            self.places.pop_front();
        }
    }

    fn kept(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Doubles, and puts every byte where its position says now.
    fn grow(&mut self, bytes: usize) {
        let larger = (2 * self.bytes.len()).max(bytes.next_power_of_two()).max(BYTES_MIN);
        let mut kept = Vec::with_capacity(self.kept());
        let (one, other) = self.from(self.start);
        kept.extend_from_slice(one);
        kept.extend_from_slice(other);
        self.bytes = vec![0; larger];
        self.end = self.start;
        self.put(&kept);
    }

    fn place(&self, position: u64) -> usize {
        position as usize & (self.bytes.len() - 1)
    }

    fn put(&mut self, bytes: &[u8]) {
        let at = self.place(self.end);
        let straight = bytes.len().min(self.bytes.len() - at);
        let (one, other) = bytes.split_at(straight);
        self.bytes[at..at + straight].copy_from_slice(one);
        self.bytes[..other.len()].copy_from_slice(other);
        self.end += bytes.len() as u64;
    }

    /// How long the packet is that begins here.
    fn packet_bytes(&self, position: u64) -> u64 {
        let byte = |at: u64| self.bytes[self.place(at)];
        2 + u64::from(u16::from_be_bytes([byte(position), byte(position + 1)]))
    }

    /// All bytes from a position on that the window holds, in two pieces because it is a ring.
    pub fn from(&self, position: u64) -> (&[u8], &[u8]) {
        debug_assert!(self.holds(position));
        let bytes = (self.end - position) as usize;
        if bytes == 0 {
            return (&[], &[]);
        }
        let at = self.place(position);
        let straight = bytes.min(self.bytes.len() - at);
        (&self.bytes[at..at + straight], &self.bytes[..bytes - straight])
    }

    /// Where a message stands, if it is here or the next one.
    pub fn position(&self, number: u64) -> Option<u64> {
        if !(self.first..=self.next).contains(&number) {
            return None;
        }
        if number == self.next {
            return Some(self.end);
        }
        let before = self.places.partition_point(|(placed, _)| *placed <= number);
        let place = before.checked_sub(1).map(|last| self.places[last]);
        let (placed, mut position) = place.unwrap_or((self.first, self.start));
        for _ in placed..number {
            position += self.packet_bytes(position);
        }
        Some(position)
    }

    /// Hands out the messages from a position on that is held, until there are no more or none is
    /// wanted; says where the next one stands.
    ///
    /// # Panics
    ///
    /// If a message is longer than 256 bytes.
    pub fn each(&self, mut position: u64, mut take: impl FnMut(&[u8]) -> bool) -> u64 {
        let mut copy = [0; 256];
        while position < self.end {
            let bytes = self.packet_bytes(position) as usize;
            let (one, other) = self.from(position);
            // Where the ring ends in the middle of a packet it has to be put together.
            let packet = if bytes <= one.len() {
                &one[..bytes]
            } else {
                let (start, end) = copy[..bytes].split_at_mut(one.len());
                start.copy_from_slice(one);
                end.copy_from_slice(&other[..bytes - one.len()]);
                &copy[..bytes]
            };
            if !take(&packet[soup::HEADER_BYTES..]) {
                break;
            }
            position += bytes as u64;
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::soup::FromServer;

    fn message(number: u64) -> Vec<u8> {
        vec![number as u8; 1 + (number * 7 % 90) as usize]
    }

    /// Every message from a position on.
    fn read(window: &Window, position: u64) -> Vec<Vec<u8>> {
        let (one, other) = window.from(position);
        let bytes = [one, other].concat();
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        while let Some((packet, used)) = FromServer::split(rest, 1 << 16).unwrap() {
            let FromServer::Data(message) = packet else { panic!("{packet:?}") };
            found.push(message.to_vec());
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
        found
    }

    #[test]
    fn what_it_holds_is_the_newest_whole_messages_from_any_number() {
        let mut window = Window::new(5, 16 << 10);
        assert_eq!(
            (window.position(5), window.position(4), window.position(6)),
            (Some(0), None, None)
        );
        for number in 5..5_000 {
            window.push(&message(number));
            assert_eq!(window.next(), number + 1);
            if number % 97 == 0 {
                for from in [window.first(), u64::midpoint(window.first(), number), number + 1] {
                    let position = window.position(from).unwrap();
                    let expected: Vec<_> = (from..=number).map(message).collect();
                    assert_eq!(read(&window, position), expected);
                    let mut each = Vec::new();
                    let after = window.each(position, |message| {
                        let goes_on = each.len() < 300;
                        if goes_on {
                            each.push(message.to_vec());
                        }
                        goes_on
                    });
                    assert_eq!(each, expected[..expected.len().min(300)]);
                    assert_eq!(window.position(from + each.len() as u64), Some(after));
                }
            }
        }
        assert!(window.first() > 4_500 && window.first() < 4_900, "{}", window.first());
        assert_eq!(window.position(window.first() - 1), None);
        assert!(!window.holds(0));
    }
}
