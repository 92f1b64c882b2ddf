//! The API's own description, and whether the API keeps to it.

use crate::support::node::Node;
use serde_json::Value;

#[test]
fn the_description_is_served_and_every_reference_in_it_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let node = Node::start(&[]);
    let answer = node.get("/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let description = answer.json();
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("within the document");
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn answers_have_the_keys_that_are_described() {
    let node = Node::start(&[]);
    node.post("/counters/c/increment", "");
    let description = node.get("/openapi.json").json();
    for path in [
        "/health",
        "/count",
        "/discovery",
        "/status",
        "/counters",
        "/counters/{name}",
        "/counters/{name}/origins",
    ] {
        let answer = node.get(&path.replace("{name}", "c")).json();
        let schema = &description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
            ["schema"];
        let described =
            schema["properties"].as_object().unwrap_or_else(|| panic!("{path}: {schema}"));
        for key in answer.as_object().unwrap().keys() {
            assert!(described.contains_key(key), "{path}: {key} is not described");
        }
        for key in schema["required"].as_array().unwrap() {
            assert!(
                !answer[key.as_str().unwrap()].is_null(),
                "{path}: {key} is missing in {answer}"
            );
        }
    }
}
