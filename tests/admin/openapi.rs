//! The description of the admin server against the server: whatever it says is there, and looks so,
//! and nothing else is.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ringframe::wire::ouch::{Outbound, Side};
use serde_json::{Map, Value, json};

use crate::http::{admin, ask, get};
use crate::peer::{PRICE, Peer, order};
use crate::program::Serving;

const METHODS: [&str; 2] = ["get", "post"];

fn description(to: SocketAddr) -> Value {
    let (code, said) = get(to, "/openapi.json");
    assert_eq!(code, 200, "{said}");
    serde_json::from_str(&said).unwrap()
}

fn calls(of: &Value) -> impl Iterator<Item = (&String, &'static str, &Value)> {
    let paths = of["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, calls)| {
        METHODS.into_iter().filter_map(move |method| Some((path, method, calls.get(method)?)))
    })
}

/// What a value has to look like, and does not: the part of JSON Schema that the description uses.
fn misfit(value: &Value, schema: &Value, whole: &Value, at: &str) -> Option<String> {
    if let Some(place) = schema.get("$ref").and_then(Value::as_str) {
        let named = whole.pointer(place.trim_start_matches('#')).expect("it is described");
        return misfit(value, named, whole, at);
    }
    if let Some(choices) = schema.get("oneOf") {
        let fits = |one: &&Value| misfit(value, one, whole, at).is_none();
        let count = choices.as_array().unwrap().iter().filter(fits).count();
        return (count != 1).then(|| format!("{at} fits {count} of {choices}: {value}"));
    }
    let is_of = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: {other} is no type"),
    };
    let fits = match &schema["type"] {
        Value::String(kind) => is_of(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| is_of(kind.as_str().unwrap())),
        other => panic!("{at}: {other} is no type"),
    };
    if !fits {
        return Some(format!("{at} is no {}: {value}", schema["type"]));
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        return Some(format!("{at} is none of {allowed:?}: {value}"));
    }
    match value {
        Value::Array(items) => {
            let item = schema.get("items")?;
            items.iter().find_map(|it| misfit(it, item, whole, &format!("{at}[]")))
        }
        Value::Object(fields) => misfit_of_fields(fields, schema, whole, at),
        _ => None,
    }
}

fn misfit_of_fields(
    fields: &Map<String, Value>,
    schema: &Value,
    whole: &Value,
    at: &str,
) -> Option<String> {
    let none = Map::new();
    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        let name = name.as_str().unwrap();
        if !fields.contains_key(name) {
            return Some(format!("{at} has no {name}"));
        }
    }
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    fields.iter().find_map(|(name, value)| match known.get(name) {
        Some(schema) => misfit(value, schema, whole, &format!("{at}.{name}")),
        None => is_closed.then(|| format!("{at}.{name} is not described: {value}")),
    })
}

/// Calls it and holds the answer against what is described; the status.
#[track_caller]
fn call(to: SocketAddr, whole: &Value, path: &str, method: &str, asked: &str, body: &str) -> u16 {
    let described = &whole["paths"][path][method]["responses"];
    let (code, said) = ask(to, &method.to_uppercase(), asked, "", body);
    let answer = described.get(code.to_string());
    let answer = answer.unwrap_or_else(|| panic!("{method} {asked}: {code} is not described"));
    if let Some(schema) = answer.pointer("/content/application~1json/schema") {
        let said: Value = serde_json::from_str(&said).unwrap();
        if let Some(misfit) = misfit(&said, schema, whole, asked) {
            panic!("{method} {asked} {code}: {misfit}");
        }
    }
    code
}

#[test]
fn every_route_is_described_and_every_described_route_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Serving::start(&["--release", "journaled"], directory.path());
    let to = admin(&serving);
    let whole = description(to);
    assert_eq!(whole["openapi"], "3.1.0");
    // Whoever asks for nothing is told what there is.
    let (_, said) = get(to, "/nothing");
    let told: BTreeSet<String> = said
        .split([' ', ',', ';', '"'])
        .filter(|word| word.starts_with('/') && *word != "/nothing")
        .map(str::to_owned)
        .collect();
    let first = |path: &String| match path.split_once("/{") {
        Some((first, _)) => first.to_owned(),
        None => path.clone(),
    };
    let mut described: BTreeSet<String> = calls(&whole).map(|(path, ..)| first(path)).collect();
    described.remove("/assets");
    assert_eq!(told, described);
    let mut peer = Peer::from(serving.addresses[0], 5, 0);
    for number in 0..3 {
        peer.order(&order(number, Side::BUY, 100, PRICE)).unwrap();
        assert!(matches!(peer.told(), Outbound::Accepted(_)));
    }
    // All that only looks: each as it stands, and with what no number is for each of its numbers.
    for (path, method, described) in calls(&whole).filter(|(_, method, _)| *method == "get") {
        let mut asked = path.clone();
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "path" {
                asked = asked.replace(
                    &format!("{{{name}}}"),
                    parameter["example"].as_str().expect("an example"),
                );
            } else if parameter["schema"]["type"] == "integer" {
                assert_eq!(call(to, &whole, path, method, &format!("{asked}?{name}=x"), ""), 400);
            }
        }
        let mut code = 503;
        // The shadow may be loading its state.
        for _ in 0..1000 {
            code = call(to, &whole, path, method, &asked, "");
            if code != 503 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let is_needed = described["parameters"]
            .as_array()
            .is_some_and(|it| it.iter().any(|it| it["in"] == "query" && it["required"] == true));
        assert_eq!(code, if is_needed { 400 } else { 200 }, "{path}");
    }
    // What changes something, the end of the node last.
    let code = call(to, &whole, "/mark", "post", "/mark", "");
    assert_eq!(code, 200);
    for (path, query, body, expected) in [
        ("/snapshot", "", "", 200),
        ("/command", "", r#"{"kill":{"participant":9,"on":false}}"#, 200),
        ("/command", "", "nonsense", 400),
        ("/activate", "", "", 200),
        ("/activate", "?version=999", "", 400),
        ("/promote", "", "", 409),
        ("/release", "?policy=synced", "", 200),
        ("/release", "?policy=soon", "", 400),
        ("/archive", "?prune=true", "", 409),
        ("/drain", "?hand_over=true", "", 409),
        ("/drain", "?snapshot=true", "", 200),
    ] {
        let asked = format!("{path}{query}");
        assert_eq!(call(to, &whole, path, "post", &asked, body), expected, "{asked}");
    }
    serving.end();
}

#[test]
fn what_does_not_fit_is_named() {
    let whole = json!({ "it": {
        "type": "object",
        "required": ["number"],
        "additionalProperties": false,
        "properties": { "number": { "type": ["integer", "null"] },
            "list": { "type": "array", "items": { "type": "string", "enum": ["a"] } } }
    }});
    let found = |value: Value| misfit(&value, &json!({ "$ref": "#/it" }), &whole, "it");
    assert_eq!(found(json!({ "number": null, "list": ["a"] })), None);
    for (wrong, why) in [
        (json!({}), "it has no number"),
        (json!({ "number": "1" }), "it.number is no"),
        (json!({ "number": 1, "list": ["b"] }), "it.list[] is none of"),
        (json!({ "number": 1, "more": 1 }), "it.more is not described"),
        (json!([]), "it is no \"object\""),
    ] {
        let found = found(wrong);
        assert!(found.as_ref().is_some_and(|it| it.starts_with(why)), "{why}: {found:?}");
    }
}
