//! Questions for lists, put together from what somebody asks for.

use model::list::{Cursor, ListOrder, TimeOrder};

use crate::value::Value;

/// A condition, and the values of its places.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) condition: String,
    pub(crate) values: Vec<Value>,
}

/// The columns by which a list can be ordered: the time is that at which things were made, the id tells those of one name or time apart.
pub(crate) struct Columns {
    pub(crate) name: &'static str,
    pub(crate) time: &'static str,
    pub(crate) id: &'static str,
}

/// The word for it behind what is ordered by.
pub(crate) fn direction(order: TimeOrder) -> &'static str {
    match order {
        TimeOrder::NewestFirst => "DESC",
        TimeOrder::OldestFirst => "ASC",
    }
}

/// In a pattern, it stands for itself.
fn literally(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

impl Question {
    pub(crate) fn new(condition: &str, values: Vec<Value>) -> Question {
        Question { condition: condition.to_owned(), values }
    }

    /// Of one tenant, which is the first value.
    pub(crate) fn of(tenant: Value) -> Question {
        Question::new("tenant_id = $1", vec![tenant])
    }

    /// Also this.
    pub(crate) fn also(&mut self, condition: &str) {
        self.condition.push_str(" AND ");
        self.condition.push_str(condition);
    }

    /// Also this, with the value in the places that `#` stands for.
    pub(crate) fn with(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.also(&condition.replace('#', &format!("${}", self.values.len())));
    }

    /// The same, if there is a value.
    pub(crate) fn with_any(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.with(condition, value);
        }
    }

    /// Also that the column has this text within it, whatever signs that has, in capitals or not: of itself only SQLite takes them for
    /// the same.
    pub(crate) fn containing(&mut self, column: &str, text: &str) {
        let condition = format!("lower({column}) LIKE lower(#) ESCAPE '\\'");
        self.with(&condition, format!("%{}%", literally(text)));
    }

    /// Also that the column has this word, or begins with it and a dot.
    pub(crate) fn under(&mut self, column: &str, word: &str) {
        self.values.push(word.into());
        let is = format!("{column} = ${}", self.values.len());
        self.with(&format!("({is} OR {column} LIKE # ESCAPE '\\')"), format!("{}.%", literally(word)));
    }

    /// Only what comes behind a place; and the order, as SQL.
    pub(crate) fn ordered<Id: Into<Value>>(
        &mut self,
        columns: &Columns,
        order: ListOrder,
        after: Option<Cursor<Id>>,
    ) -> String {
        let Columns { name, time, id } = columns;
        let (column, direction, compared) = match order {
            ListOrder::Name => (name, "ASC", ">"),
            ListOrder::OldestFirst => (time, "ASC", ">"),
            ListOrder::NewestFirst => (time, "DESC", "<"),
        };
        if let Some(after) = after {
            self.values.push(match order {
                ListOrder::Name => after.name.into(),
                ListOrder::OldestFirst | ListOrder::NewestFirst => after.time.into(),
            });
            let place = self.values.len();
            self.with(&format!("({column}, {id}) {compared} (${place}, #)"), after.id);
        }
        format!("ORDER BY {column} {direction}, {id} {direction}")
    }
}
