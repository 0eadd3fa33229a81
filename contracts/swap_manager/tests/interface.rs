//! The metadata against the interface in the field, line by line (`interface.txt`).

// Links the contract, which defines the function below.
extern crate swap_manager as _;

use std::collections::BTreeSet;

use serde_json::Value;

const INTERFACE: &str = include_str!("interface.txt");

extern "Rust" {
    fn __ink_generate_metadata() -> ink::metadata::InkProject;
}

/// What the contract has beyond the interface.
const ADDED_MESSAGES: [&str; 5] = [
    "message set_max_active_swaps 0xf09a0e19 write (count u32) -> Result<(), Error>",
    "message get_max_active_swaps 0xef5dbd55 read () -> u32",
    "message get_active_swaps 0xab04772a read (miner AccountId, offset u32, limit u32) -> Vec<SwapData>",
    "message get_swaps 0x399e1f02 read (ids Vec<u64>) -> Vec<Option<SwapData>>",
    "message get_swap_outcome 0xdf2d2484 read (swap_id u64) -> Option<SwapOutcome>",
];
const ADDED_TYPES: [&str; 1] = [
    "type SwapOutcome: status SwapStatus, ended_block u32, dest_tx_hash str, slash_amount u128, fee_amount u128",
];

/// The contract's metadata, written in the notation of the table.
struct Metadata(Value);

impl Metadata {
    fn of_contract() -> Self {
        // SAFETY: ink! defines this function, with this type, in every contract built with `std`.
        let project = unsafe { __ink_generate_metadata() };
        Self(serde_json::to_value(project).unwrap())
    }

    fn type_by_id(&self, id: &Value) -> &Value {
        &self.0["types"][id.as_u64().unwrap() as usize]["type"]
    }

    fn type_by_name(&self, name: &str) -> &Value {
        list(&self.0["types"])
            .map(|t| &t["type"])
            .find(|t| last(&t["path"]) == name)
            .unwrap_or_else(|| panic!("no type {name}"))
    }

    fn name(&self, id: &Value) -> String {
        let it = self.type_by_id(id);
        let params: Vec<_> = list(&it["params"]).map(|p| self.name(&p["type"])).collect();
        let def = &it["def"];
        match last(&it["path"]) {
            "" if def["primitive"].is_string() => text(&def["primitive"]),
            "" if def["tuple"].is_array() => {
                let parts: Vec<_> = list(&def["tuple"]).map(|t| self.name(t)).collect();
                format!("({})", parts.join(", "))
            }
            "" => format!("Vec<{}>", self.name(&def["sequence"]["type"])),
            // ink! wraps what a message returns in a result of its own.
            "Result" if params[1] == "LangError" => params[0].clone(),
            name if params.is_empty() => name.into(),
            name => format!("{name}<{}>", params.join(", ")),
        }
    }

    fn fields(&self, fields: &Value, name_key: &str) -> String {
        let field = |f: &Value| {
            // Arguments nest the type's id, fields of types do not.
            let id = if f["type"].is_object() {
                &f["type"]["type"]
            } else {
                &f["type"]
            };
            let mark = if f["indexed"] == true { "*" } else { "" };
            format!("{mark}{} {}", text(&f[name_key]), self.name(id))
        };
        list(fields).map(field).collect::<Vec<_>>().join(", ")
    }

    fn message(&self, it: &Value) -> String {
        let kind = match (it["payable"] == true, it["mutates"] == true) {
            (true, _) => "payable",
            (_, true) => "write",
            _ => "read",
        };
        format!(
            "message {} {} {kind} ({}) -> {}",
            text(&it["label"]),
            text(&it["selector"]),
            self.fields(&it["args"], "label"),
            self.name(&it["returnType"]["type"]),
        )
    }

    fn constructor(&self, it: &Value) -> String {
        format!(
            "constructor {} {} ({})",
            text(&it["label"]),
            text(&it["selector"]),
            self.fields(&it["args"], "label"),
        )
    }

    fn event(&self, it: &Value) -> String {
        format!(
            "event {} ({})",
            text(&it["label"]),
            self.fields(&it["args"], "label")
        )
    }

    fn type_line(&self, name: &str) -> String {
        let def = &self.type_by_name(name)["def"];
        let body = if def["composite"].is_object() {
            self.fields(&def["composite"]["fields"], "name")
        } else {
            let variants = list(&def["variant"]["variants"]);
            variants
                .map(|v| text(&v["name"]))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!("type {name}: {body}")
    }

    fn lines(&self, part: &str, render: impl Fn(&Self, &Value) -> String) -> Vec<String> {
        list(&self.0["spec"][part])
            .map(|it| render(self, it))
            .collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn last(path: &Value) -> &str {
    let parts = path.as_array();
    parts
        .and_then(|p| p.last())
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn expected(kind: &str) -> Vec<&'static str> {
    INTERFACE
        .lines()
        .filter(|l| l.starts_with(&format!("{kind} ")))
        .collect()
}

#[test]
fn messages_are_those_of_the_field_and_the_new_ones_come_last() {
    let messages = Metadata::of_contract().lines("messages", Metadata::message);
    let mut wanted = expected("message");
    assert_eq!(wanted.len(), 57);
    wanted.extend(ADDED_MESSAGES);
    let differing: Vec<_> = messages
        .iter()
        .zip(&wanted)
        .filter(|(m, w)| m != w)
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
    assert_eq!(messages.len(), wanted.len());
}

#[test]
fn the_constructor_is_that_of_the_field() {
    let constructors = Metadata::of_contract().lines("constructors", Metadata::constructor);
    assert_eq!(constructors, expected("constructor"));
}

/// In any order: a client finds an event by its signature.
#[test]
fn events_are_those_of_the_field() {
    let events = Metadata::of_contract().lines("events", Metadata::event);
    let events: BTreeSet<_> = events.iter().map(String::as_str).collect();
    assert_eq!(events, expected("event").into_iter().collect());
}

#[test]
fn types_are_those_of_the_field() {
    let metadata = Metadata::of_contract();
    let mut wanted = expected("type");
    wanted.extend(ADDED_TYPES);
    for line in wanted {
        let name = line["type ".len()..].split(':').next().unwrap();
        let actual = metadata.type_line(name);
        match name {
            "Error" => assert_eq!(actual, format!("{line}, TooManyValidators")),
            _ => assert_eq!(actual, line),
        }
    }
}
