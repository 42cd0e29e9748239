//! One JSON object, read field by field; mistakes are told with their place.

use serde_json::{Map, Value};

/// Longest name in bytes: names travel as short strings.
const NAME_BYTES_MAX: usize = 255;

/// The fields of an object that are not read yet.
#[derive(Debug)]
pub(crate) struct Fields {
    place: String,
    fields: Map<String, Value>,
}

impl Fields {
    /// The fields of `value`, which lies at `place`.
    ///
    /// # Errors
    /// When it is no object.
    pub(crate) fn of(place: &str, value: Value) -> Result<Fields, String> {
        match value {
            Value::Object(fields) => Ok(Fields {
                place: place.to_owned(),
                fields,
            }),
            other => Err(unexpected(place, "an object", &other)),
        }
    }

    /// Where a field lies.
    pub(crate) fn place(&self, field: &str) -> String {
        match self.place.as_str() {
            "" => field.to_owned(),
            place => format!("{place}.{field}"),
        }
    }

    /// Takes a field; null is as good as none.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.shift_remove(field).filter(|value| !value.is_null())
    }

    /// Gives a field a value.
    pub(crate) fn set(&mut self, field: &str, value: Value) {
        self.fields.insert(field.to_owned(), value);
    }

    /// True when the field is there.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Takes a text that must be there.
    pub(crate) fn text(&mut self, field: &str) -> Result<String, String> {
        self.optional_text(field)?
            .ok_or_else(|| format!("{}: missing", self.place(field)))
    }

    /// Takes a text.
    pub(crate) fn optional_text(&mut self, field: &str) -> Result<Option<String>, String> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(unexpected(&self.place(field), "a string", &other)),
        }
    }

    /// Takes a name that must be there.
    pub(crate) fn name(&mut self, field: &str) -> Result<String, String> {
        let name = self.text(field)?;
        if name.len() > NAME_BYTES_MAX {
            let place = self.place(field);
            return Err(format!("{place}: {} bytes, at most {NAME_BYTES_MAX}", name.len()));
        }
        Ok(name)
    }

    /// Takes true or false.
    pub(crate) fn flag(&mut self, field: &str, default: bool) -> Result<bool, String> {
        match self.take(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(unexpected(&self.place(field), "true or false", &other)),
        }
    }

    /// Takes a limit; a negative one is none.
    pub(crate) fn limit(&mut self, field: &str) -> Result<Option<u64>, String> {
        match self.take(field) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(limit) => Ok(u64::try_from(limit).ok()),
                None => Err(unexpected(&self.place(field), "a whole number", &value)),
            },
        }
    }

    /// Takes an object; none is as good as an empty one.
    pub(crate) fn object(&mut self, field: &str) -> Result<Fields, String> {
        let place = self.place(field);
        let value = self.take(field).unwrap_or_else(|| Map::new().into());
        match value {
            // Erlang has one empty list for both.
            Value::Array(empty) if empty.is_empty() => Fields::of(&place, Map::new().into()),
            value => Fields::of(&place, value),
        }
    }

    /// Takes a list of objects; none is as good as an empty one.
    pub(crate) fn list(&mut self, field: &str) -> Result<Vec<Fields>, String> {
        let place = self.place(field);
        match self.take(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .into_iter()
                .enumerate()
                .map(|(index, value)| Fields::of(&format!("{place}[{index}]"), value))
                .collect(),
            Some(other) => Err(unexpected(&place, "a list", &other)),
        }
    }

    /// Takes tags: a list of strings, or one string with commas in it, as older versions of RabbitMQ write them.
    pub(crate) fn tags(&mut self, field: &str) -> Result<Vec<String>, String> {
        let place = self.place(field);
        match self.take(field) {
            None => Ok(Vec::new()),
            Some(Value::String(tags)) => {
                let tags = tags.split(',').map(str::trim);
                Ok(tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect())
            }
            Some(Value::Array(tags)) => tags
                .into_iter()
                .map(|tag| match tag {
                    Value::String(tag) => Ok(tag),
                    other => Err(unexpected(&place, "a list of strings", &other)),
                })
                .collect(),
            Some(other) => Err(unexpected(&place, "a list of strings", &other)),
        }
    }

    /// What is left, as it is.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.fields
    }

    /// What is left: the places of fields that nobody knows.
    pub(crate) fn unknown(self) -> Vec<String> {
        self.fields.keys().map(|field| self.place(field)).collect()
    }
}

/// What was found in the place of something else.
pub(crate) fn unexpected(place: &str, expected: &str, found: &Value) -> String {
    let found = match found {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    };
    let place = if place.is_empty() { "the document" } else { place };
    format!("{place}: expected {expected}, found {found}")
}
