//! The form of what is written: content, embeds, components.
//!
//! Lengths are Unicode code points, the ends trimmed. Source: Discord's "Message" and "Component" references.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::{ApiError, Form};

const LONGEST_CONTENT: usize = 2000;
const MOST_EMBEDS: usize = 10;
const MOST_EMBED_TEXT: usize = 6000;

fn length(text: &str) -> usize {
    text.trim().chars().count()
}

/// `content` of a body, its ends trimmed; `None` if the field is absent. Null counts as empty.
pub(crate) fn content(body: &Value) -> Result<Option<String>, ApiError> {
    let text = match body.get("content") {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(String::new())),
        Some(Value::String(text)) => text.clone(),
        // Discord takes a number for its digits.
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => {
            return Err(Form::one(
                &["content"],
                "BASE_TYPE_BAD_TYPE",
                "Could not interpret value as string.",
            ));
        }
    };
    // Counted before the trim: a text that is only short enough without its ends is not promised to pass.
    if text.chars().count() > LONGEST_CONTENT {
        let mut form = Form::default();
        form.too_long(&["content"], LONGEST_CONTENT);
        return Err(form.error());
    }
    Ok(Some(text.trim().to_owned()))
}

/// `embeds` of a body; `None` if the field is absent.
pub(crate) fn embeds(body: &Value) -> Result<Option<Vec<Value>>, ApiError> {
    let list = match body.get("embeds") {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(Vec::new())),
        Some(list) => list,
    };
    let Some(list) = list.as_array() else {
        return Err(Form::one(
            &["embeds"],
            "BASE_TYPE_BAD_TYPE",
            "Only iterables may be used in a ListType",
        ));
    };
    let mut form = Form::default();
    if list.len() > MOST_EMBEDS {
        form.too_long(&["embeds"], MOST_EMBEDS);
    }
    let mut total = 0;
    for (index, embed) in list.iter().enumerate() {
        total += one_embed(&mut form, &index.to_string(), embed);
    }
    if total > MOST_EMBED_TEXT {
        let words = "Embed size exceeds maximum size of 6000";
        form.fault(&["embeds"], "MAX_EMBED_SIZE_EXCEEDED", words);
    }
    form.finish()?;
    let rich = |embed: &Value| {
        let mut embed = embed.clone();
        embed["type"] = Value::from("rich");
        embed
    };
    Ok(Some(list.iter().map(rich).collect()))
}

/// Checks one embed and gives the length of its texts.
fn one_embed(form: &mut Form, at: &str, embed: &Value) -> usize {
    let Some(fields) = embed.as_object() else {
        form.fault(
            &["embeds", at],
            "MODEL_TYPE_CONVERT",
            "Only dictionaries may be used in a ModelType",
        );
        return 0;
    };
    let mut total = 0;
    let mut check = |form: &mut Form, path: &[&str], text: Option<&Value>, most: usize| {
        let count = text.and_then(Value::as_str).map_or(0, length);
        if count > most {
            form.too_long(path, most);
        }
        total += count;
    };
    check(form, &["embeds", at, "title"], embed.get("title"), 256);
    check(
        form,
        &["embeds", at, "description"],
        embed.get("description"),
        4096,
    );
    check(
        form,
        &["embeds", at, "footer", "text"],
        embed.pointer("/footer/text"),
        2048,
    );
    check(
        form,
        &["embeds", at, "author", "name"],
        embed.pointer("/author/name"),
        256,
    );
    let rows = embed.get("fields").and_then(Value::as_array);
    if rows.is_some_and(|rows| rows.len() > 25) {
        form.too_long(&["embeds", at, "fields"], 25);
    }
    for (row, field) in rows.into_iter().flatten().enumerate() {
        let row = row.to_string();
        for (key, most) in [("name", 256), ("value", 1024)] {
            let path = ["embeds", at, "fields", &row, key];
            let text = field.get(key).and_then(Value::as_str).unwrap_or_default();
            if text.trim().is_empty() {
                form.required(&path);
            }
            check(form, &path, field.get(key), most);
        }
    }
    let has = |key: &&str| fields.get(*key).is_some_and(|it| !it.is_null());
    if ![
        "title",
        "description",
        "fields",
        "image",
        "thumbnail",
        "author",
        "footer",
    ]
    .iter()
    .any(has)
    {
        form.required(&["embeds", at, "description"]);
    }
    total
}

/// `components` of a body; `None` if the field is absent. `v2`: IS_COMPONENTS_V2 is set.
pub(crate) fn components(body: &Value, v2: bool) -> Result<Option<Vec<Value>>, ApiError> {
    let list = match body.get("components") {
        None => return Ok(None),
        Some(Value::Null) => return Ok(Some(Vec::new())),
        Some(list) => list,
    };
    let Some(list) = list.as_array() else {
        return Err(Form::one(
            &["components"],
            "BASE_TYPE_BAD_TYPE",
            "Only iterables may be used in a ListType",
        ));
    };
    let mut form = Form::default();
    let mut ids = BTreeSet::new();
    if v2 {
        if count(list) > 40 {
            form.bad_length(&["components"], 1, 40);
        }
        custom_ids(&mut form, &["components"], list, &mut ids);
    } else {
        if list.len() > 5 {
            form.bad_length(&["components"], 1, 5);
        }
        for (index, row) in list.iter().enumerate() {
            action_row(&mut form, &index.to_string(), row, &mut ids);
        }
    }
    form.finish()?;
    Ok(Some(list.clone()))
}

fn count(list: &[Value]) -> usize {
    let below = |it: &Value| {
        it.get("components")
            .and_then(Value::as_array)
            .map_or(0, |list| count(list))
    };
    list.iter().map(|it| 1 + below(it)).sum()
}

/// Only ids are checked deep in the newer components; their layout is taken as it is.
fn custom_ids(form: &mut Form, path: &[&str], list: &[Value], ids: &mut BTreeSet<String>) {
    for (index, it) in list.iter().enumerate() {
        let index = index.to_string();
        let here: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
        if it.get("custom_id").is_some() {
            custom_id(form, &here, it, ids);
        }
        if let Some(below) = it.get("components").and_then(Value::as_array) {
            let below_path: Vec<&str> = here.iter().copied().chain(["components"]).collect();
            custom_ids(form, &below_path, below, ids);
        }
        if let Some(accessory) = it.get("accessory") {
            custom_ids(form, &here, std::slice::from_ref(accessory), ids);
        }
    }
}

fn action_row(form: &mut Form, row: &str, it: &Value, ids: &mut BTreeSet<String>) {
    if it.get("type").and_then(Value::as_u64) != Some(1) {
        let words = "Value of field \"type\" must be one of (1,).";
        return form.fault(&["components", row, "type"], "UNION_TYPE_CHOICES", words);
    }
    let cells = it
        .get("components")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let path = ["components", row, "components"];
    if cells.is_empty() || cells.len() > 5 {
        form.bad_length(&path, 1, 5);
    }
    let kind = |cell: &Value| cell.get("type").and_then(Value::as_u64).unwrap_or(0);
    if cells.iter().any(|cell| kind(cell) != 2) && cells.len() > 1 {
        let words = "The specified component exceeds the maximum width";
        form.fault(&path, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", words);
    }
    for (index, cell) in cells.iter().enumerate() {
        let index = index.to_string();
        let here = ["components", row, "components", &index];
        match kind(cell) {
            2 => button(form, &here, cell, ids),
            3 | 5..=8 => select(form, &here, cell, ids),
            _ => {
                let words = "Value of field \"type\" must be one of (2, 3, 5, 6, 7, 8).";
                form.fault(
                    &[here[0], here[1], here[2], here[3], "type"],
                    "UNION_TYPE_CHOICES",
                    words,
                );
            }
        }
    }
}

fn custom_id(form: &mut Form, at: &[&str], it: &Value, ids: &mut BTreeSet<String>) {
    let path: Vec<&str> = at.iter().copied().chain(["custom_id"]).collect();
    let id = it
        .get("custom_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if id.is_empty() {
        form.required(&path);
    } else if id.chars().count() > 100 {
        form.bad_length(&path, 1, 100);
    } else if !ids.insert(id.to_owned()) {
        form.fault(
            &path,
            "COMPONENT_CUSTOM_ID_DUPLICATED",
            "Component custom id cannot be duplicated",
        );
    }
}

fn button(form: &mut Form, at: &[&str], it: &Value, ids: &mut BTreeSet<String>) {
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<_>>();
    match it.get("style").and_then(Value::as_u64) {
        Some(1..=4) => custom_id(form, at, it, ids),
        Some(5) => {
            if it.get("url").and_then(Value::as_str).is_none() {
                form.required(&path("url"));
            }
        }
        _ => form.fault(
            &path("style"),
            "BASE_TYPE_CHOICES",
            "Value must be one of (1, 2, 3, 4, 5, 6).",
        ),
    }
    let label = it.get("label").and_then(Value::as_str).unwrap_or_default();
    if label.chars().count() > 80 {
        form.too_long(&path("label"), 80);
    }
    if label.is_empty() && it.get("emoji").is_none_or(Value::is_null) {
        form.fault(
            at,
            "BUTTON_COMPONENT_INVALID",
            "A button needs a label or an emoji",
        );
    }
}

fn select(form: &mut Form, at: &[&str], it: &Value, ids: &mut BTreeSet<String>) {
    custom_id(form, at, it, ids);
    let path = |key: &'static str| at.iter().copied().chain([key]).collect::<Vec<_>>();
    let placeholder = it
        .get("placeholder")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if placeholder.chars().count() > 150 {
        form.too_long(&path("placeholder"), 150);
    }
    if it.get("type").and_then(Value::as_u64) != Some(3) {
        return;
    }
    let options = it
        .get("options")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if options.is_empty() || options.len() > 25 {
        form.bad_length(&path("options"), 1, 25);
    }
    let mut values = BTreeSet::new();
    for option in options {
        for key in ["label", "value"] {
            let text = option.get(key).and_then(Value::as_str).unwrap_or_default();
            if text.is_empty() || text.chars().count() > 100 {
                form.bad_length(&path("options"), 1, 100);
            }
        }
        if !values.insert(
            option
                .get("value")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        ) {
            let words = "The specified option value is already used";
            form.fault(
                &path("options"),
                "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                words,
            );
        }
    }
}
