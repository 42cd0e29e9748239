//! Lists: rows with the columns that are asked for. Names of columns are those of `rabbitmqctl` where it has the figure.

use std::cmp::Ordering;

use serde_json::Value;

use super::protocol::{Answer, Kind, Listing, REPLY_BYTES_MAX, Refusal};

/// A column of rows `R`.
#[derive(Debug)]
pub(super) struct Column<R> {
    pub(super) name: &'static str,
    /// Among those that nobody has to ask for.
    pub(super) shown: bool,
    /// It compares with an earlier look.
    pub(super) compares: bool,
    pub(super) of: fn(&R) -> Value,
}

/// A column that is shown when it is asked for.
pub(super) const fn column<R>(name: &'static str, of: fn(&R) -> Value) -> Column<R> {
    Column {
        name,
        shown: false,
        compares: false,
        of,
    }
}

impl<R> Column<R> {
    /// The same, and shown when nobody asks for any.
    pub(super) const fn shown(self) -> Column<R> {
        Column { shown: true, ..self }
    }

    /// The same, and compared with an earlier look.
    pub(super) const fn compared(self) -> Column<R> {
        Column {
            compares: true,
            ..self
        }
    }
}

/// What can be listed.
pub(super) trait Row: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];
}

/// What is asked for, checked.
#[derive(Debug)]
pub(super) struct Selection<R: Row> {
    columns: Vec<&'static Column<R>>,
    sort: Option<&'static Column<R>>,
    limit: usize,
}

impl<R: Row> Selection<R> {
    /// # Errors
    /// For a column that there is not, with those that there are.
    pub(super) fn of(listing: &Listing) -> Result<Selection<R>, Refusal> {
        let find = |field: &str, name: &String| {
            let found = R::COLUMNS.iter().find(|column| column.name == name);
            found.ok_or_else(|| {
                let known: Vec<&str> = R::COLUMNS.iter().map(|column| column.name).collect();
                let text = format!("{field}: there is no column '{name}', but {}", known.join(", "));
                Refusal::new(Kind::Request, text)
            })
        };
        let columns = match listing.columns.is_empty() {
            true => R::COLUMNS.iter().filter(|column| column.shown).collect(),
            false => {
                let wanted = listing.columns.iter();
                wanted
                    .map(|name| find("columns", name))
                    .collect::<Result<_, _>>()?
            }
        };
        let sort = listing.sort.as_ref().map(|name| find("sort", name)).transpose()?;
        Ok(Selection {
            columns,
            sort,
            limit: listing.limit.unwrap_or(usize::MAX),
        })
    }

    /// True when an earlier look is needed.
    pub(super) fn compares(&self) -> bool {
        let columns = self.columns.iter().chain(&self.sort);
        columns.into_iter().any(|column| column.compares)
    }

    /// The rows as `{"columns": […], "rows": [[…], …]}`; one is looked at after the other.
    ///
    /// # Errors
    /// When that would be too long.
    pub(super) fn answer(&self, mut rows: Vec<R>) -> Result<Answer, Refusal> {
        if let Some(sort) = self.sort {
            let keyed = rows.into_iter().map(|row| ((sort.of)(&row), row));
            let mut keyed: Vec<(Value, R)> = keyed.collect();
            keyed.sort_by(|one, other| order(&one.0, &other.0));
            rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut out = format!("{{\"columns\":{},\"rows\":[", Value::from(names)).into_bytes();
        for (index, row) in rows.iter().take(self.limit).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let values: Vec<Value> = self.columns.iter().map(|column| (column.of)(row)).collect();
            out.extend_from_slice(Value::from(values).to_string().as_bytes());
            if out.len() > REPLY_BYTES_MAX {
                let text = format!(
                    "the list is longer than {} MiB: ask for fewer columns, or for a limit",
                    REPLY_BYTES_MAX >> 20
                );
                return Err(Refusal::new(Kind::Refused, text));
            }
        }
        out.extend_from_slice(b"]}");
        Ok(Answer(out))
    }
}

/// Numbers from the largest down, then texts from A to Z, then all else.
fn order(one: &Value, other: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(text) if !text.is_empty() => 1,
        _ => 2,
    };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            other.total_cmp(&one)
        }
        (Value::String(one), Value::String(other)) if !one.is_empty() && !other.is_empty() => one.cmp(other),
        _ => rank(one).cmp(&rank(other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Pair(&'static str, u64);

    impl Row for Pair {
        const COLUMNS: &'static [Column<Self>] = &[
            column("name", |row: &Pair| row.0.into()).shown(),
            column("size", |row: &Pair| row.1.into()),
            column("growth", |_: &Pair| json!(null)).compared(),
        ];
    }

    fn listed(columns: &[&str], sort: Option<&str>, limit: Option<usize>) -> Result<Value, String> {
        let listing = Listing {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            sort: sort.map(str::to_owned),
            limit,
            ..Listing::default()
        };
        let selection = Selection::of(&listing).map_err(|refusal| refusal.text)?;
        let rows = vec![Pair("b", 9), Pair("", 70), Pair("a", 8)];
        let answer = selection.answer(rows).unwrap();
        Ok(serde_json::from_slice(&answer.0).unwrap())
    }

    #[test]
    fn rows_are_sorted_cut_and_have_the_columns_that_are_asked_for() {
        assert_eq!(
            listed(&[], None, None).unwrap(),
            json!({"columns": ["name"], "rows": [["b"], [""], ["a"]]})
        );
        assert_eq!(
            listed(&["size", "name"], Some("size"), Some(2)).unwrap(),
            json!({"columns": ["size", "name"], "rows": [[70, ""], [9, "b"]]})
        );
        assert_eq!(
            listed(&[], Some("name"), None).unwrap()["rows"],
            json!([["a"], ["b"], [""]])
        );
        for (columns, sort) in [(&["nome"][..], None), (&[], Some("nome"))] {
            let refused = listed(columns, sort, None).unwrap_err();
            assert!(refused.contains("'nome', but name, size, growth"), "{refused}");
        }
    }

    #[test]
    fn a_look_before_is_needed_for_what_compares_only() {
        let selection = |columns: Vec<String>, sort: Option<String>| {
            let listing = Listing {
                columns,
                sort,
                ..Listing::default()
            };
            Selection::<Pair>::of(&listing).unwrap()
        };
        assert!(!selection(Vec::new(), None).compares());
        assert!(selection(Vec::new(), Some("growth".to_owned())).compares());
        assert!(selection(vec!["growth".to_owned()], None).compares());
    }
}
