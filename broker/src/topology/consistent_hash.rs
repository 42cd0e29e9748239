//! The bindings of a consistent hash exchange: each message goes to one of them, chosen by a hash, in proportion to the
//! weights that are their binding keys.
//!
//! Chosen by weighted rendezvous: the hash of the message, mixed with the hash of each destination's name, gives a
//! number `u` in (0, 1) per binding, and the least `-ln(u) / weight` wins. So a binding that goes takes along
//! only its own messages, one that comes draws its share evenly from all others, and a changed weight moves the
//! difference; the choice depends on names alone, not on the order of bindings, and so is the same after a restart.
//!
//! RabbitMQ's plugin numbers as many buckets as the weights add up to and picks one by jump consistent hashing; when
//! a binding goes, all buckets behind its own are renumbered, which moves most messages. A ring of points
//! would need hundreds of points per binding for an even distribution, and more for large weights. The price of
//! rendezvous is a multiplication or two a binding and message; routes by routing key are remembered anyway.
//!
//! As in RabbitMQ, a second binding of one destination does not add up: the larger weight counts.

use wire::{BasicProperties, FieldTable, FieldValue, ValueRef};

use super::binding::{BindingId, Destination, Target};
use super::binding_list::{BindingList, OfBinding};
use super::error::TopologyError;
use crate::terms::binary;

/// Exchange argument: the header to hash instead of the routing key.
const HASH_HEADER: &str = "hash-header";
/// Exchange argument: the property to hash instead of the routing key.
const HASH_PROPERTY: &str = "hash-property";

/// What of a message decides.
#[derive(Clone, Debug, PartialEq, Eq)]
enum HashOn {
    RoutingKey,
    Header(Box<str>),
    CorrelationId,
    MessageId,
    Timestamp,
}

/// Bindings of one weight: among these the greatest `u` wins, without a logarithm.
#[derive(Debug)]
struct WeightClass {
    weight: f64,
    shares: BindingList<Share>,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    target: Target,
    /// Hash of the destination's name.
    seed: u64,
}

impl OfBinding for Share {
    fn binding(&self) -> BindingId {
        self.target.binding
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct HashBindings {
    hash_on: HashOn,
    classes: Vec<WeightClass>,
}

impl HashBindings {
    /// For an exchange that was declared with these arguments.
    ///
    /// # Errors
    /// 406 when both arguments are there, and for values that name no header or property.
    pub(super) fn new(arguments: &FieldTable) -> Result<HashBindings, TopologyError> {
        Ok(HashBindings {
            hash_on: HashOn::of(arguments)?,
            classes: Vec::new(),
        })
    }

    /// True when routes depend on more than the routing key.
    pub(super) fn reads_properties(&self) -> bool {
        self.hash_on != HashOn::RoutingKey
    }

    /// Checks a binding key: it must be a weight.
    pub(super) fn check(key: &str) -> Result<(), TopologyError> {
        weight(key).map(|_| ())
    }

    /// Adds a binding whose key was checked.
    pub(super) fn insert(&mut self, key: &str, target: Target, destination: &str) {
        let weight = weight(key).expect("checked before the binding was added");
        let kind = match target.destination {
            Destination::Queue(_) => "queue",
            Destination::Exchange(_) => "exchange",
        };
        let seed = finish(hash(hash(HASH_START, kind.as_bytes()), destination.as_bytes()));
        let class = match self.classes.iter().position(|class| class.weight == weight) {
            Some(index) => &mut self.classes[index],
            None => {
                let shares = BindingList::default();
                self.classes.push(WeightClass { weight, shares });
                self.classes.last_mut().expect("just added")
            }
        };
        class.shares.push(Share { target, seed });
    }

    pub(super) fn remove(&mut self, key: &str, binding: BindingId) {
        let weight = weight(key).expect("checked before the binding was added");
        if let Some(index) = self.classes.iter().position(|class| class.weight == weight) {
            self.classes[index].shares.remove(binding);
            if self.classes[index].shares.is_empty() {
                self.classes.swap_remove(index);
            }
        }
    }

    /// Calls `found` for the destination that the message falls to, if there is any binding.
    pub(super) fn visit(&self, key: &str, properties: &BasicProperties<'_>, found: impl FnOnce(Destination)) {
        let message = finish(self.hash_on.hash(key, properties));
        let winners = self.classes.iter().filter_map(|class| {
            let ranked = class.shares.iter().map(|share| {
                let rank = finish(message ^ share.seed);
                (rank, share.seed, share.target.destination)
            });
            let (rank, seed, destination) = ranked.max_by_key(|&(rank, seed, _)| (rank, seed))?;
            Some((-unit(rank).ln() / class.weight, seed, destination))
        });
        let winner = winners.min_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        if let Some((_, _, destination)) = winner {
            found(destination);
        }
    }
}

impl HashOn {
    fn of(arguments: &FieldTable) -> Result<HashOn, TopologyError> {
        let text = |name: &str, value: &FieldValue| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => {
                let text = format!(
                    "invalid type '{}' for arg '{name}'",
                    crate::terms::type_name(value)
                );
                Err(TopologyError::invalid_argument(text))
            }
        };
        match (arguments.get(HASH_HEADER), arguments.get(HASH_PROPERTY)) {
            (None, None) => Ok(HashOn::RoutingKey),
            (Some(header), None) => Ok(HashOn::Header(text(HASH_HEADER, header)?.into())),
            (None, Some(property)) => match text(HASH_PROPERTY, property)?.as_str() {
                "correlation_id" => Ok(HashOn::CorrelationId),
                "message_id" => Ok(HashOn::MessageId),
                "timestamp" => Ok(HashOn::Timestamp),
                other => {
                    let text = format!("Unsupported property: {other}");
                    Err(TopologyError::invalid_argument(text))
                }
            },
            (Some(_), Some(_)) => {
                let text = format!("{HASH_HEADER} and {HASH_PROPERTY} are mutually exclusive");
                Err(TopologyError::invalid_argument(text))
            }
        }
    }

    /// The hash of what decides; one and the same for all messages without it.
    fn hash(&self, key: &str, properties: &BasicProperties<'_>) -> u64 {
        let of_text = |text: Option<&str>| text.map_or(HASH_ABSENT, |text| hash(HASH_START, text.as_bytes()));
        match self {
            HashOn::RoutingKey => of_text(Some(key)),
            HashOn::CorrelationId => of_text(properties.correlation_id),
            HashOn::MessageId => of_text(properties.message_id),
            HashOn::Timestamp => properties.timestamp.map_or(HASH_ABSENT, |seconds| {
                hash(HASH_START, seconds.to_string().as_bytes())
            }),
            HashOn::Header(name) => match properties.headers.and_then(|headers| headers.get(name)) {
                Some(value) => hash_value(value),
                None => HASH_ABSENT,
            },
        }
    }
}

/// Integers hash by value, whatever their width; strings by their octets; all else by its encoding.
fn hash_value(value: ValueRef<'_>) -> u64 {
    if let Some(integer) = value.as_i64() {
        return hash(hash(HASH_START, b"integer"), &integer.to_be_bytes());
    }
    match value {
        ValueRef::LongStr(octets) => hash(HASH_START, octets),
        value => {
            let mut table = FieldTable::new();
            table.insert("", value.to_value());
            hash(HASH_START, &table.to_bytes())
        }
    }
}

/// The weight that a binding key states.
fn weight(key: &str) -> Result<f64, TopologyError> {
    let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        let text = format!("The binding key must be an integer: {}", binary(key.as_bytes()));
        return Err(TopologyError::invalid_argument(text));
    }
    // A key has at most 255 digits, which a float can hold.
    match key.parse::<f64>() {
        Ok(weight) if weight >= 1.0 => Ok(weight),
        _ => {
            let text = "The binding key must be greater than 0".to_owned();
            Err(TopologyError::invalid_argument(text))
        }
    }
}

/// FNV-1a: short inputs, and the same on every machine and in every version of this program.
fn hash(start: u64, octets: &[u8]) -> u64 {
    octets.iter().fold(start, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

const HASH_START: u64 = 0xcbf2_9ce4_8422_2325;
/// Of a message without the header or property that decides.
const HASH_ABSENT: u64 = 0;

/// The finalizer of SplitMix64: every bit of the input reaches every bit of the result.
fn finish(hash: u64) -> u64 {
    let hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A number strictly between 0 and 1.
fn unit(rank: u64) -> f64 {
    ((rank >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

#[cfg(test)]
#[path = "consistent_hash_tests.rs"]
mod tests;
