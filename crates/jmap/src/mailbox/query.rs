//! Mailbox/query (RFC 8621 §2.3).

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Map, Value};
use waxwing_message::keys::collate;
use waxwing_store::{MailboxId, Role};

use super::object::{is_subscribed, role, role_named};
use super::tree::{Node, Tree};
use crate::caller::Account;
use crate::context::Context;
use crate::dispatch::Answer;
use crate::standard::{self, query::QueryArguments};
use crate::wire::error::MethodError;
use crate::wire::filter::{Comparator, Filter};
use crate::wire::id;

/// FilterCondition: what is given must hold.
#[derive(Debug, Default)]
struct Condition {
    /// `Some(None)`: at the top.
    parent: Option<Option<MailboxId>>,
    /// Is part of the name, by `collate::key`.
    name: Option<String>,
    /// `Some(None)`: none. A role that is not known here is that of no mailbox.
    role: Option<Option<Result<Role, ()>>>,
    has_any_role: Option<bool>,
    is_subscribed: Option<bool>,
}

/// What is asked, but for which piece of it.
pub struct Question {
    filter: Option<Filter<Condition>>,
    sort: Vec<Comparator>,
    sort_as_tree: bool,
    filter_as_tree: bool,
}

/// The method.
pub async fn run(context: &Context, arguments: Map<String, Value>) -> Result<Answer, MethodError> {
    let mut asked: QueryArguments = standard::arguments(arguments)?;
    let (filter, sort) = (asked.filter.take(), asked.sort.take());
    let question = Question::read(filter, sort, std::mem::take(&mut asked.more))?;
    let account = context.account(&asked.account_id).await?;
    let all = question.answer(&account);
    asked.answer(context, &account, &all)
}

impl Question {
    /// Reads it. `more` are the arguments that are this type's own.
    pub fn read(
        filter: Option<Value>,
        sort: Option<Value>,
        mut more: Map<String, Value>,
    ) -> Result<Question, MethodError> {
        let mut flag = |name: &str| match more.remove(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(MethodError::invalid(format!("{name} is true or false"))),
        };
        let (sort_as_tree, filter_as_tree) = (flag("sortAsTree")?, flag("filterAsTree")?);
        if let Some(name) = more.keys().next() {
            return Err(MethodError::invalid(format!("there is no argument {name:?}")));
        }
        let filter = match filter {
            None | Some(Value::Null) => None,
            Some(value) => Some(Filter::read(value, &mut Condition::read)?),
        };
        let sort = Comparator::read_all(sort)?;
        for comparator in &sort {
            let known = matches!(comparator.property.as_str(), "sortOrder" | "name");
            let collation = comparator.collation.as_deref().unwrap_or("i;unicode-casemap");
            if !known || collation != "i;unicode-casemap" {
                let why = "mailboxes are sorted by sortOrder and name, with i;unicode-casemap";
                return Err(MethodError::UnsupportedSort(why.to_owned()));
            }
        }
        Ok(Question { filter, sort, sort_as_tree, filter_as_tree })
    }

    /// All results in order.
    pub fn answer(&self, account: &Account) -> Vec<MailboxId> {
        let tree = Tree::new(&account.mailboxes);
        let all: Vec<Candidate> = account
            .mailboxes
            .iter()
            .map(|visible| {
                let node = tree.node(&visible.mailbox);
                let key = collate::key(&node.name);
                Candidate {
                    id: visible.mailbox.id,
                    role: role(account, visible),
                    is_subscribed: is_subscribed(account, visible),
                    sort_order: visible.mailbox.sort_order,
                    node,
                    key,
                }
            })
            .collect();
        self.among(all)
    }

    fn among(&self, mut all: Vec<Candidate>) -> Vec<MailboxId> {
        all.sort_by(|a, b| self.compare(a, b));
        if self.sort_as_tree {
            all = as_tree(all);
        }
        let parents: HashMap<MailboxId, Option<MailboxId>> =
            all.iter().map(|one| (one.id, one.node.parent)).collect();
        let mut pass: HashMap<MailboxId, bool> = HashMap::new();
        for one in &all {
            let passes = self
                .filter
                .as_ref()
                .is_none_or(|filter| filter.passes(&mut |condition| condition.holds(one)));
            pass.insert(one.id, passes);
        }
        let passes = |id: MailboxId| {
            let mut next = Some(id);
            while let Some(at) = next {
                if !pass.get(&at).copied().unwrap_or(true) {
                    return false;
                }
                // RFC 8621 §2.3: with filterAsTree whatever is above must pass as well.
                next = parents.get(&at).copied().flatten().filter(|_| self.filter_as_tree);
            }
            true
        };
        all.iter().map(|one| one.id).filter(|id| passes(*id)).collect()
    }

    fn compare(&self, a: &Candidate, b: &Candidate) -> Ordering {
        let by = |comparator: &Comparator| {
            let order = match comparator.property.as_str() {
                "sortOrder" => a.sort_order.cmp(&b.sort_order),
                _ => a.key.cmp(&b.key),
            };
            if comparator.is_ascending { order } else { order.reverse() }
        };
        let order = self.sort.iter().map(by).find(|order| order.is_ne());
        // RFC 8620 §5.5: the same order every time.
        order.unwrap_or_else(|| a.id.cmp(&b.id))
    }
}

/// A mailbox that may be a result.
struct Candidate {
    id: MailboxId,
    node: Node,
    key: String,
    role: Option<Role>,
    is_subscribed: bool,
    sort_order: u32,
}

/// Each after the one above it, siblings in the order that they have.
fn as_tree(sorted: Vec<Candidate>) -> Vec<Candidate> {
    let mut below: HashMap<Option<MailboxId>, Vec<Candidate>> = HashMap::new();
    for one in sorted {
        below.entry(one.node.parent).or_default().push(one);
    }
    let mut out = Vec::new();
    // Last in, first out; each list is reversed for that.
    let mut open: Vec<Candidate> = below.remove(&None).unwrap_or_default();
    open.reverse();
    while let Some(one) = open.pop() {
        open.extend(below.remove(&Some(one.id)).unwrap_or_default().into_iter().rev());
        out.push(one);
    }
    out
}

impl Condition {
    fn read(members: Map<String, Value>) -> Result<Condition, MethodError> {
        let mut condition = Condition::default();
        let no = |name: &str| MethodError::invalid(format!("{name} is of the wrong type"));
        for (name, value) in members {
            match (name.as_str(), value) {
                ("parentId", Value::Null) => condition.parent = Some(None),
                ("parentId", Value::String(text)) => {
                    // An id of nothing is nobody's parent.
                    condition.parent = Some(Some(id::read(&text).unwrap_or(MailboxId(0))));
                }
                ("name", Value::String(text)) => condition.name = Some(collate::key(&text)),
                ("role", Value::Null) => condition.role = Some(None),
                ("role", Value::String(text)) => {
                    condition.role = Some(Some(role_named(&text).ok_or(())));
                }
                ("hasAnyRole", Value::Bool(value)) => condition.has_any_role = Some(value),
                ("isSubscribed", Value::Bool(value)) => condition.is_subscribed = Some(value),
                ("parentId" | "name" | "role" | "hasAnyRole" | "isSubscribed", _) => {
                    return Err(no(&name));
                }
                _ => {
                    let why = format!("mailboxes are not filtered by {name}");
                    return Err(MethodError::UnsupportedFilter(why));
                }
            }
        }
        Ok(condition)
    }

    fn holds(&self, one: &Candidate) -> bool {
        self.parent.is_none_or(|parent| parent == one.node.parent)
            && self.name.as_ref().is_none_or(|name| one.key.contains(name.as_str()))
            && self.role.is_none_or(|role| role == one.role.map(Ok))
            && self.has_any_role.is_none_or(|has| has == one.role.is_some())
            && self.is_subscribed.is_none_or(|is| is == one.is_subscribed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidate(id: i64, parent: Option<i64>, name: &str, sort_order: u32) -> Candidate {
        let node = Node { parent: parent.map(MailboxId), name: name.to_owned() };
        let (key, role) = (collate::key(name), (name == "Trash").then_some(Role::Trash));
        Candidate { id: MailboxId(id), node, key, role, is_subscribed: true, sort_order }
    }

    fn asked(filter: Value, sort: Value, more: Value) -> Vec<i64> {
        let more = more.as_object().cloned().unwrap_or_default();
        let question = Question::read(Some(filter), Some(sort), more).unwrap();
        let all = vec![
            candidate(1, None, "b", 1),
            candidate(2, Some(1), "z", 0),
            candidate(3, Some(1), "A", 0),
            candidate(4, None, "Trash", 0),
            candidate(5, Some(3), "trash of old", 0),
        ];
        question.among(all).into_iter().map(|id| id.0).collect()
    }

    #[test]
    fn orders_and_trees() {
        let by_name = json!([{"property": "name"}]);
        assert_eq!(asked(json!(null), by_name.clone(), json!({})), [3, 1, 4, 5, 2]);
        assert_eq!(
            asked(json!(null), by_name.clone(), json!({"sortAsTree": true})),
            [1, 3, 5, 2, 4]
        );
        let both = json!([{"property": "sortOrder", "isAscending": false}, {"property": "name"}]);
        assert_eq!(asked(json!({}), both, json!({})), [1, 3, 4, 5, 2]);
        assert_eq!(asked(json!({"name": "TRASH"}), by_name.clone(), json!({})), [4, 5]);
        // RFC 8621 §2.3: what is above does not pass.
        let as_tree = json!({"filterAsTree": true});
        assert_eq!(asked(json!({"name": "trash"}), by_name.clone(), as_tree), [4]);
        assert_eq!(asked(json!({"parentId": "F1"}), by_name.clone(), json!({})), [3, 2]);
        assert_eq!(asked(json!({"parentId": null, "role": null}), by_name.clone(), json!({})), [1]);
        assert_eq!(asked(json!({"role": "trash"}), by_name.clone(), json!({})), [4]);
        assert_eq!(asked(json!({"role": "nonsense"}), by_name, json!({})), [0; 0]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let read = |filter: Value, sort: Value, more: Value| {
            let more = more.as_object().cloned().unwrap();
            Question::read(Some(filter), Some(sort), more).err().map(|error| error.kind())
        };
        assert_eq!(read(json!({"x": 1}), json!([]), json!({})), Some("unsupportedFilter"));
        assert_eq!(read(json!({"name": 1}), json!([]), json!({})), Some("invalidArguments"));
        let sort = json!([{"property": "parentId"}]);
        assert_eq!(read(json!({}), sort, json!({})), Some("unsupportedSort"));
        assert_eq!(read(json!({}), json!([]), json!({"x": 1})), Some("invalidArguments"));
    }
}
