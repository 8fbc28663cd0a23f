//! Filters and comparators (RFC 8620 §5.5), of whatever condition a type has.

use serde_json::{Map, Value};

use super::error::MethodError;

/// Conditions and operators in one filter.
pub const PARTS_MAX: usize = 500;

/// How conditions are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// All of them.
    And,
    /// One of them.
    Or,
    /// None of them.
    Not,
}

/// A filter over conditions.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter<C> {
    /// FilterOperator.
    Operator(Operator, Vec<Filter<C>>),
    /// FilterCondition.
    Condition(C),
}

impl<C> Filter<C> {
    /// Reads a filter, each condition by `condition`. How deep it nests is bounded by `wire::json`.
    pub fn read(
        value: Value,
        condition: &mut impl FnMut(Map<String, Value>) -> Result<C, MethodError>,
    ) -> Result<Filter<C>, MethodError> {
        read_some(value, condition, &mut 0)
    }

    /// Whether something passes, by what `holds` says of each condition.
    pub fn passes(&self, holds: &mut impl FnMut(&C) -> bool) -> bool {
        match self {
            Filter::Condition(condition) => holds(condition),
            Filter::Operator(Operator::And, inner) => inner.iter().all(|one| one.passes(holds)),
            Filter::Operator(Operator::Or, inner) => inner.iter().any(|one| one.passes(holds)),
            Filter::Operator(Operator::Not, inner) => !inner.iter().any(|one| one.passes(holds)),
        }
    }

    /// Every condition in it.
    pub fn conditions<'f>(&'f self, look: &mut impl FnMut(&'f C)) {
        match self {
            Filter::Condition(condition) => look(condition),
            Filter::Operator(_, inner) => inner.iter().for_each(|one| one.conditions(look)),
        }
    }
}

fn read_some<C>(
    value: Value,
    condition: &mut impl FnMut(Map<String, Value>) -> Result<C, MethodError>,
    parts: &mut usize,
) -> Result<Filter<C>, MethodError> {
    let Value::Object(mut members) = value else {
        return Err(MethodError::invalid("a filter is an object"));
    };
    *parts += 1;
    if *parts > PARTS_MAX {
        let why = format!("a filter has at most {PARTS_MAX} conditions and operators");
        return Err(MethodError::UnsupportedFilter(why));
    }
    let operator = match members.get("operator") {
        None => return condition(members).map(Filter::Condition),
        Some(Value::String(name)) => match name.as_str() {
            "AND" => Operator::And,
            "OR" => Operator::Or,
            "NOT" => Operator::Not,
            _ => return Err(MethodError::invalid("an operator is AND, OR or NOT")),
        },
        Some(_) => return Err(MethodError::invalid("an operator is AND, OR or NOT")),
    };
    let Some(Value::Array(inner)) = members.remove("conditions") else {
        return Err(MethodError::invalid("an operator has a list `conditions`"));
    };
    let inner = inner.into_iter().map(|one| read_some(one, condition, parts));
    Ok(Filter::Operator(operator, inner.collect::<Result<_, _>>()?))
}

/// What results are ordered by.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparator {
    /// Which property, or what a type calls so.
    pub property: String,
    /// The smallest first.
    pub is_ascending: bool,
    /// For text; `None`: the server's choice.
    pub collation: Option<String>,
    /// What else a type asks for, such as `keyword`.
    pub more: Map<String, Value>,
}

impl Comparator {
    /// Comparators in one query.
    pub const MOST: usize = 16;

    /// Reads the argument `sort`: none where it is absent or null.
    pub fn read_all(value: Option<Value>) -> Result<Vec<Comparator>, MethodError> {
        let list = match value {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(MethodError::invalid("`sort` is a list")),
        };
        if list.len() > Comparator::MOST {
            let why = format!("a query is sorted by at most {} comparators", Comparator::MOST);
            return Err(MethodError::UnsupportedSort(why));
        }
        list.into_iter().map(Comparator::read).collect()
    }

    fn read(value: Value) -> Result<Comparator, MethodError> {
        let no = |why: &str| MethodError::invalid(why);
        let Value::Object(mut more) = value else { return Err(no("a comparator is an object")) };
        let Some(Value::String(property)) = more.remove("property") else {
            return Err(no("a comparator has a `property`"));
        };
        let is_ascending = match more.remove("isAscending") {
            None => true,
            Some(Value::Bool(ascending)) => ascending,
            Some(_) => return Err(no("`isAscending` is true or false")),
        };
        let collation = match more.remove("collation") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(no("`collation` is a string")),
        };
        Ok(Comparator { property, is_ascending, collation, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(value: Value) -> Result<Filter<u64>, MethodError> {
        Filter::read(value, &mut |members| {
            let divisor = members.get("by").and_then(Value::as_u64);
            divisor.ok_or_else(|| MethodError::invalid("by"))
        })
    }

    fn passes(value: Value, number: u64) -> bool {
        filter(value).unwrap().passes(&mut |divisor| number.is_multiple_of(*divisor))
    }

    #[test]
    fn operators() {
        let two_three = json!([{"by": 2}, {"by": 3}]);
        let of = |operator: &str| json!({"operator": operator, "conditions": two_three});
        let all = |operator: &str| [6, 2, 5].map(|number| passes(of(operator), number));
        assert_eq!(all("AND"), [true, false, false]);
        assert_eq!(all("OR"), [true, true, false]);
        // RFC 8620 §5.5: NOT: none of them.
        assert_eq!(all("NOT"), [false, false, true]);
        let nested = json!({"operator": "NOT", "conditions": [of("AND")]});
        assert!(passes(nested.clone(), 2) && !passes(nested, 6));
        for no in [
            json!([]),
            json!({"operator": "XOR", "conditions": []}),
            json!({"operator": "OR"}),
            json!({}),
        ] {
            assert_eq!(filter(no).unwrap_err().kind(), "invalidArguments");
        }
        let many = json!({"operator": "OR", "conditions": vec![json!({"by": 1}); PARTS_MAX]});
        assert_eq!(filter(many).unwrap_err().kind(), "unsupportedFilter");
    }

    #[test]
    fn comparators() {
        let sort = json!([{"property": "hasKeyword", "keyword": "$flagged", "isAscending": false}, {"property": "size"}]);
        let read = Comparator::read_all(Some(sort)).unwrap();
        assert_eq!((read[0].property.as_str(), read[0].is_ascending), ("hasKeyword", false));
        assert_eq!(read[0].more.get("keyword"), Some(&json!("$flagged")));
        assert!(read[1].is_ascending && read[1].more.is_empty());
        assert_eq!(Comparator::read_all(None), Ok(vec![]));
        for no in [json!({}), json!([{}]), json!([{"property": "a", "isAscending": 1}])] {
            assert!(Comparator::read_all(Some(no)).is_err());
        }
    }
}
