//! What other brokers make of definitions that are as they should be here: so that whoever takes them elsewhere knows before.
//!
//! RabbitMQ's answers were tried (`scripts/definitions.sh`), LavinMQ's read in its source.

use crate::store::metadata::Entity;
use wire::FieldValue;

/// Names that are told of those that something applies to.
const NAMES_MAX: usize = 5;

/// One thing that differs.
struct Difference {
    /// Follows the number: `2 exchanges of type …`.
    what: &'static str,
    elsewhere: &'static str,
    /// Name of the entity, if it applies.
    applies: fn(&Entity) -> Option<&str>,
}

const DIFFERENCES: [Difference; 8] = [
    Difference {
        what: "user(s) whose password is hashed by Argon2id",
        elsewhere: "RabbitMQ and LavinMQ take them for users without a password, to be set there",
        applies: |entity| match entity {
            Entity::User(user) if user.password_hash.is_slow() => Some(&user.name),
            _ => None,
        },
    },
    Difference {
        what: "exchange(s) of type x-delayed-message",
        elsewhere: "RabbitMQ refuses the document unless its plugin rabbitmq_delayed_message_exchange is enabled",
        applies: |entity| exchange_of_type(entity, "x-delayed-message"),
    },
    Difference {
        what: "exchange(s) of type x-consistent-hash",
        elsewhere: "RabbitMQ refuses the document unless its plugin rabbitmq_consistent_hash_exchange is enabled",
        applies: |entity| exchange_of_type(entity, "x-consistent-hash"),
    },
    Difference {
        what: "queue(s) with x-durability",
        elsewhere: "RabbitMQ and LavinMQ keep the argument and do nothing about it",
        applies: |entity| queue_with(entity, "x-durability", |_| true),
    },
    Difference {
        what: "queue(s) with a negative x-delivery-limit",
        elsewhere: "RabbitMQ 3.x lets go of a message at its first return, LavinMQ refuses the document",
        applies: |entity| {
            queue_with(entity, "x-delivery-limit", |limit| {
                limit.as_i64().is_some_and(|limit| limit < 0)
            })
        },
    },
    Difference {
        what: "queue(s) with x-overflow reject-publish-dlx",
        elsewhere: "LavinMQ drops the oldest messages instead",
        applies: |entity| {
            queue_with(entity, "x-overflow", |overflow| {
                overflow.as_str() == Some("reject-publish-dlx")
            })
        },
    },
    Difference {
        what: "binding(s) with x-match all-with-x or any-with-x, to",
        elsewhere: "LavinMQ refuses the document",
        applies: |entity| match entity {
            Entity::Binding(binding) => {
                let matching = binding.arguments.get("x-match").and_then(FieldValue::as_str);
                matches!(matching, Some("all-with-x" | "any-with-x")).then_some(&binding.destination)
            }
            _ => None,
        },
    },
    Difference {
        what: "topic permission(s), of",
        elsewhere: "LavinMQ has none and leaves them out",
        applies: |entity| match entity {
            Entity::TopicPermission(permission) => Some(&permission.user),
            _ => None,
        },
    },
];

fn exchange_of_type<'a>(entity: &'a Entity, kind: &str) -> Option<&'a str> {
    match entity {
        Entity::Exchange(exchange) if exchange.kind == kind => Some(&exchange.name),
        _ => None,
    }
}

fn queue_with<'a>(entity: &'a Entity, argument: &str, applies: fn(&FieldValue) -> bool) -> Option<&'a str> {
    match entity {
        Entity::Queue(queue) if queue.arguments.get(argument).is_some_and(applies) => Some(&queue.name),
        _ => None,
    }
}

/// A sentence for each difference that concerns some of `entities`.
pub(super) fn remarks(entities: &[Entity]) -> Vec<String> {
    DIFFERENCES
        .iter()
        .filter_map(|difference| remark(difference, entities))
        .collect()
}

fn remark(difference: &Difference, entities: &[Entity]) -> Option<String> {
    let names: Vec<&str> = entities.iter().filter_map(difference.applies).collect();
    let shown = names.iter().take(NAMES_MAX).map(|name| format!("'{name}'"));
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_MAX {
        shown += " …";
    }
    let Difference { what, elsewhere, .. } = difference;
    (!names.is_empty()).then(|| format!("{} {what} {shown}: {elsewhere}", names.len()))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::super::Definitions;
    use super::super::export::document;
    use super::*;

    /// What `scripts/definitions.sh` takes to RabbitMQ and back.
    const ALL: &str = include_str!("../../../scripts/definitions/all.json");

    fn entities(text: &str) -> Vec<Entity> {
        let defined: Definitions = text.parse().unwrap();
        let mut entities: Vec<Entity> = defined.vhosts.into_iter().map(Entity::Vhost).collect();
        entities.extend(defined.users.into_iter().map(Entity::User));
        entities.extend(defined.permissions.into_iter().map(Entity::Permission));
        entities.extend(defined.topic_permissions.into_iter().map(Entity::TopicPermission));
        entities.extend(defined.exchanges.into_iter().map(Entity::Exchange));
        entities.extend(defined.queues.into_iter().map(Entity::Queue));
        entities.extend(defined.bindings.into_iter().map(Entity::Binding));
        entities
    }

    /// Reads a document by the rules of LavinMQ's importer (`src/lavinmq/http/controller/definitions.cr` and what it calls): the
    /// first field that it would refuse.
    fn import_as_lavinmq(document: &Value) -> Result<(), String> {
        let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
        let texts =
            |object: &Value, names: &[&str]| match names.iter().find(|&&name| !object[name].is_string()) {
                Some(name) => Err(format!("{name} of {object}")),
                None => Ok(()),
            };
        let flags =
            |object: &Value, names: &[&str]| match names.iter().find(|&&name| !object[name].is_boolean()) {
                Some(name) => Err(format!("{name} of {object}")),
                None => Ok(()),
            };
        let mut users = Vec::new();
        for user in list("users") {
            texts(&user, &["name", "password_hash", "hashing_algorithm"])?;
            let hash = user["password_hash"].as_str().unwrap();
            let digest_bytes = match user["hashing_algorithm"].as_str().unwrap() {
                name if name.ends_with("sha256") => 32,
                name if name.ends_with("sha512") => 64,
                _ => usize::MAX,
            };
            // No hash is no password.
            let fits = hash.is_empty() || STANDARD.decode(hash).is_ok_and(|hash| hash.len() >= digest_bytes);
            if !fits {
                return Err(format!("password of {user}"));
            }
            users.push(user["name"].clone());
        }
        for vhost in list("vhosts") {
            texts(&vhost, &["name"])?;
        }
        for permission in list("permissions") {
            texts(&permission, &["vhost", "user", "configure", "read", "write"])?;
            if !users.contains(&permission["user"]) {
                return Err(format!("user of {permission}"));
            }
        }
        for queue in list("queues") {
            texts(&queue, &["name", "vhost"])?;
            flags(&queue, &["durable", "auto_delete"])?;
            let arguments = queue["arguments"].as_object().ok_or("arguments of a queue")?;
            for (name, value) in arguments {
                let fits = match name.as_str() {
                    "x-expires" => value.as_i64().is_some_and(|value| value > 0),
                    "x-max-length" | "x-max-length-bytes" | "x-message-ttl" | "x-delivery-limit"
                    | "x-consumer-timeout" => value.as_u64().is_some(),
                    "x-max-priority" => value.as_u64().is_some_and(|value| value <= 255),
                    "x-overflow" | "x-dead-letter-exchange" => value.is_string(),
                    "x-dead-letter-routing-key" => arguments.contains_key("x-dead-letter-exchange"),
                    "x-single-active-consumer" => value.is_boolean(),
                    "x-queue-type" => value != "stream" && value != "mqtt",
                    _ => true,
                };
                if !fits {
                    return Err(format!("{name} of {queue}"));
                }
            }
        }
        for exchange in list("exchanges") {
            texts(&exchange, &["name", "vhost", "type"])?;
            flags(&exchange, &["durable", "internal", "auto_delete"])?;
            let arguments = exchange["arguments"]
                .as_object()
                .ok_or("arguments of an exchange")?;
            let known = match exchange["type"].as_str().unwrap() {
                "direct" | "fanout" | "topic" | "headers" | "x-consistent-hash" => true,
                "x-delayed-message" => arguments.contains_key("x-delayed-type"),
                _ => false,
            };
            if !known {
                return Err(format!("type of {exchange}"));
            }
        }
        for binding in list("bindings") {
            texts(
                &binding,
                &[
                    "source",
                    "vhost",
                    "destination",
                    "destination_type",
                    "routing_key",
                ],
            )?;
            let matching = &binding["arguments"]["x-match"];
            if !binding["arguments"].is_object()
                || !(matching.is_null() || matching == "all" || matching == "any")
            {
                return Err(format!("arguments of {binding}"));
            }
        }
        for parameter in list("parameters") {
            texts(&parameter, &["name", "component", "vhost"])?;
            if parameter["component"] != "vhost-limits" || !parameter["value"].is_object() {
                return Err(format!("value of {parameter}"));
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_exported_keeps_to_the_rules_of_lavinmqs_importer() {
        let all = entities(ALL);
        let fault = import_as_lavinmq(&document(all.clone()).unwrap().into()).unwrap_err();
        assert!(fault.contains("any-with-x"), "{fault}");
        assert!(remarks(&all).iter().any(|remark| {
            remark.starts_with("1 binding(s) with x-match all-with-x or any-with-x, to 'classic'")
                && remark.ends_with("LavinMQ refuses the document")
        }));
        let accepted: Vec<_> = all
            .into_iter()
            .filter(|entity| !matches!(entity, Entity::Binding(binding) if binding.destination == "classic"))
            .collect();
        assert_eq!(import_as_lavinmq(&document(accepted).unwrap().into()), Ok(()));
        let text = ALL.replace("\"x-delivery-limit\": 5", "\"x-delivery-limit\": -1");
        let fault = import_as_lavinmq(&document(entities(&text)).unwrap().into()).unwrap_err();
        assert!(fault.starts_with("x-delivery-limit of"), "{fault}");
        assert!(remarks(&entities(&text)).contains(
            &"1 queue(s) with a negative x-delivery-limit 'quorum': RabbitMQ 3.x lets go of a message at its first return, LavinMQ refuses the document".to_owned()
        ));
    }

    #[test]
    fn what_needs_a_plugin_or_is_not_known_elsewhere_is_told() {
        let text = ALL.replace(
            "\"password_hash\": \"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR\"",
            "\"password\": \"secret\"",
        );
        let told = remarks(&entities(&text.replace(
            ",\n     \"hashing_algorithm\": \"rabbit_password_hashing_sha256\"",
            "",
        )));
        for expected in [
            "2 user(s) whose password is hashed by Argon2id 'imported', 'without tags'",
            "x-delayed-message 'later': RabbitMQ refuses",
            "x-consistent-hash 'hashed': RabbitMQ refuses",
            "x-durability 'written'",
            "reject-publish-dlx 'limited, letters'",
            "topic permission(s), of 'without tags'",
        ] {
            assert!(
                told.iter().any(|remark| remark.contains(expected)),
                "{expected}: {told:#?}"
            );
        }
        assert!(remarks(&entities("{}")).is_empty());
    }
}
