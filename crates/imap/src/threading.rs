//! Threads (RFC 5256 §3): messages as trees of replies. Pure, and without recursion: a thread may be
//! as deep as a mailbox is long.
//!
//! The steps of REFERENCES, as the RFC numbers them:
//!
//! | | |
//! |---|---|
//! | 1 | [`link`]: References make parents; ids that no message has become dummies |
//! | 2, 3 | [`prune`]: dummies go, their children come up |
//! | 4, 5 | [`merge_subjects`]: threads of one base subject become one |
//! | 6 | [`sort`] siblings by date |

use std::collections::HashMap;

/// What threading must know of a message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Item<'a> {
    /// Sequence number or UID, for the answer.
    pub number: u32,
    /// Stands for its Message-ID.
    pub message_id: Option<u64>,
    /// The same of its ancestors, the eldest first.
    pub references: &'a [u64],
    /// Stands for its base subject; 0 for the empty one.
    pub subject: u32,
    /// The subject is that of a reply or a forwarded message.
    pub is_reply: bool,
    /// When it was sent.
    pub sent_secs: i64,
}

/// A message in its thread, or a dummy.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// `None`: a dummy, of which all children are siblings.
    pub number: Option<u32>,
    /// Places in [`Threads::nodes`].
    pub children: Vec<usize>,
}

/// All threads.
#[derive(Debug, Default)]
pub struct Threads {
    /// In no order.
    pub nodes: Vec<Node>,
    /// The first of each thread, in order.
    pub roots: Vec<usize>,
}

/// RFC 5256 §3 ORDEREDSUBJECT. `items` are in the order of the mailbox.
pub fn by_subject(items: &[Item<'_>]) -> Threads {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&at| (items[at].subject, items[at].sent_secs, at));
    let mut nodes: Vec<Node> =
        items.iter().map(|item| Node { number: Some(item.number), children: Vec::new() }).collect();
    let mut roots = Vec::new();
    for thread in order.chunk_by(|&a, &b| items[a].subject == items[b].subject) {
        nodes[thread[0]].children = thread[1..].to_vec();
        roots.push(thread[0]);
    }
    roots.sort_by_key(|&at| (items[at].sent_secs, at));
    Threads { nodes, roots }
}

/// RFC 5256 §3 REFERENCES. `items` are in the order of the mailbox.
pub fn by_references(items: &[Item<'_>]) -> Threads {
    let mut forest = prune(items.len(), &link(items));
    merge_subjects(items, &mut forest);
    sort(items, &mut forest);
    let number = |at: usize| items.get(at).map(|item| item.number);
    let nodes = forest.children.into_iter().enumerate();
    let nodes = nodes.map(|(at, children)| Node { number: number(at), children }).collect();
    Threads { nodes, roots: forest.roots }
}

/// Parents while they are looked for: places below `items.len()` are messages, others are dummies.
struct Links {
    parents: Vec<Option<usize>>,
    has_children: Vec<bool>,
    /// Steps that looking for loops may still take, so that no mail makes it long work.
    patience: usize,
}

impl Links {
    fn add(&mut self) -> usize {
        self.parents.push(None);
        self.has_children.push(false);
        self.parents.len() - 1
    }

    /// RFC 5256 §3 (1): not where that would make a loop.
    fn set_parent(&mut self, child: usize, parent: usize) {
        if !self.is_below(parent, child) {
            self.parents[child] = Some(parent);
            self.has_children[parent] = true;
        }
    }

    /// Whether `node` is `above`, or stands below it. When patience is at its end: perhaps.
    fn is_below(&mut self, node: usize, above: usize) -> bool {
        if node == above {
            return true;
        }
        if !self.has_children[above] {
            return false;
        }
        let mut at = node;
        while let Some(parent) = self.parents[at] {
            if parent == above || self.patience == 0 {
                return true;
            }
            self.patience -= 1;
            at = parent;
        }
        false
    }
}

/// Step 1.
fn link(items: &[Item<'_>]) -> Vec<Option<usize>> {
    let mentioned: usize = items.iter().map(|item| item.references.len() + 1).sum();
    let mut links = Links {
        parents: vec![None; items.len()],
        has_children: vec![false; items.len()],
        patience: mentioned.saturating_mul(64),
    };
    let mut places: HashMap<u64, usize> = HashMap::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        if let Some(id) = item.message_id {
            places.entry(id).or_insert(at); // of several with one id, the first has it
        }
    }
    for (at, item) in items.iter().enumerate() {
        let mut before: Option<usize> = None;
        for &id in item.references {
            let here = *places.entry(id).or_insert_with(|| links.add());
            if let Some(before) = before
                && links.parents[here].is_none()
            {
                links.set_parent(here, before);
            }
            before = Some(here);
        }
        links.parents[at] = None;
        if let Some(parent) = before {
            links.set_parent(at, parent);
        }
    }
    links.parents
}

/// Trees: places as in [`Links`].
struct Forest {
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
    messages: usize,
}

impl Forest {
    fn is_dummy(&self, at: usize) -> bool {
        at >= self.messages
    }

    /// The message that stands for a thread: a dummy's first child.
    fn face(&self, at: usize) -> usize {
        match self.children[at].first() {
            Some(&first) if self.is_dummy(at) => first,
            _ => at,
        }
    }
}

/// Steps 2 and 3.
fn prune(messages: usize, parents: &[Option<usize>]) -> Forest {
    let mut children = vec![Vec::new(); parents.len()];
    let mut tops = Vec::new();
    for (at, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(at),
            None => tops.push(at),
        }
    }
    // From the leaves up, so that what comes up has been pruned.
    let mut order = tops.clone();
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        order.extend(&children[at]);
        next += 1;
    }
    for &at in order.iter().rev() {
        let own = std::mem::take(&mut children[at]);
        for child in own {
            match child < messages {
                true => children[at].push(child),
                false => {
                    let promoted = std::mem::take(&mut children[child]);
                    children[at].extend(promoted);
                }
            }
        }
    }
    let mut roots = Vec::new();
    for at in tops {
        match at >= messages && children[at].len() <= 1 {
            true => roots.append(&mut children[at]),
            false => roots.push(at),
        }
    }
    Forest { children, roots, messages }
}

/// Steps 4 and 5.
fn merge_subjects(items: &[Item<'_>], forest: &mut Forest) {
    let date = |at: usize| (items.get(at).map_or(0, |item| item.sent_secs), at);
    for at in 0..forest.roots.len() {
        let root = forest.roots[at];
        if forest.is_dummy(root) {
            forest.children[root].sort_by_key(|&child| date(child));
        }
    }
    let mut roots = std::mem::take(&mut forest.roots);
    roots.sort_by_key(|&root| date(forest.face(root)));
    let is_reply = |forest: &Forest, at: usize| !forest.is_dummy(at) && items[at].is_reply;
    let subject = |forest: &Forest, at: usize| items[forest.face(at)].subject;
    let mut table: HashMap<u32, usize> = HashMap::new();
    for &root in &roots {
        let subject = subject(forest, root);
        if subject == 0 {
            continue;
        }
        let known = *table.entry(subject).or_insert(root);
        let better = forest.is_dummy(root) || (is_reply(forest, known) && !is_reply(forest, root));
        if !forest.is_dummy(known) && better {
            table.insert(subject, root);
        }
    }
    let subjects: Vec<u32> = roots.iter().map(|&root| subject(forest, root)).collect();
    for (&root, subject) in roots.iter().zip(subjects) {
        let Some(&known) = table.get(&subject) else {
            forest.roots.push(root);
            continue;
        };
        if known == root {
            forest.roots.push(root);
        } else if forest.is_dummy(known) && forest.is_dummy(root) {
            let more = std::mem::take(&mut forest.children[root]);
            forest.children[known].extend(more);
        } else if forest.is_dummy(known) || (is_reply(forest, root) && !is_reply(forest, known)) {
            forest.children[known].push(root);
        } else {
            let dummy = forest.children.len();
            forest.children.push(vec![known, root]);
            table.insert(subject, dummy);
            // `known` has been passed already: only a reply gives way to what comes after it.
            forest.roots.push(dummy);
        }
    }
    let mut inner = vec![false; forest.children.len()];
    for dummy in items.len()..forest.children.len() {
        forest.children[dummy].iter().for_each(|&child| inner[child] = true);
    }
    forest.roots.retain(|&root| !inner[root]);
}

/// Step 6: what is deeper first, which order between sets of siblings does not depend on but for
/// dummies, whose first child speaks for them.
fn sort(items: &[Item<'_>], forest: &mut Forest) {
    let date = |at: usize| (items.get(at).map_or(0, |item| item.sent_secs), at);
    for siblings in &mut forest.children {
        siblings.sort_by_key(|&at| date(at));
    }
    let mut roots = std::mem::take(&mut forest.roots);
    roots.sort_by_key(|&root| date(forest.face(root)));
    forest.roots = roots;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A number for a text; 0 for none.
    fn number(text: &str) -> u64 {
        text.bytes().fold(0, |number, octet| number << 8 | u64::from(octet))
    }

    fn slice(ids: impl Iterator<Item = u64>) -> &'static [u64] {
        ids.collect::<Vec<_>>().leak()
    }

    /// `id < parent parent: subject`, one a line; numbers and dates are those of the lines.
    fn items(text: &str) -> Vec<Item<'static>> {
        let item = |(at, line): (usize, &str)| {
            let (ids, subject) = line.split_once(':').unwrap();
            let (id, references) = ids.split_once('<').unwrap_or((ids, ""));
            let base = subject.trim().trim_start_matches("re ");
            Item {
                number: at as u32 + 1,
                message_id: Some(number(id.trim())).filter(|id| *id != 0),
                references: slice(references.split_ascii_whitespace().map(number)),
                subject: number(base) as u32,
                is_reply: subject.trim() != base,
                sent_secs: at as i64,
            }
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate().map(item).collect()
    }

    /// As THREAD writes them.
    fn told(threads: &Threads) -> String {
        let mut out = crate::wire::out::Out::default();
        crate::wire::threads::write(&mut out, threads);
        String::from_utf8(out.waiting().to_vec()).unwrap()
    }

    fn references(text: &str) -> String {
        told(&by_references(&items(text)))
    }

    #[test]
    fn replies() {
        assert_eq!(references("a: x\nb < a: re x\nc < a b: re x\nd < a: re x"), "(1 (2 3)(4))");
        // A reply came before what it answers.
        assert_eq!(references("b < a: re x\na: x"), "(2 1)");
        // The parent is not there: siblings without one (RFC 5256's `((3)(5))`).
        assert_eq!(references("b < a: p\nc < a: q"), "((1)(2))");
        assert_eq!(references("b < a: p"), "(1)");
        // A dummy in the middle goes.
        assert_eq!(references("a: x\nc < a b: y\nd < a b: z"), "(1 (2)(3))");
    }

    #[test]
    fn subjects() {
        assert_eq!(references("a: x\nb: re x\nc: re x"), "(1 (2)(3))");
        assert_eq!(references("a: re x\nb: x"), "(2 1)");
        // Neither is the other's reply.
        assert_eq!(references("a: x\nb: x\nc: x"), "((1)(2)(3))");
        assert_eq!(references("a: re x\nb: re x"), "((1)(2))");
        assert_eq!(references("a:\nb:"), "(1)(2)");
        // With a dummy, and two.
        assert_eq!(references("b < a: x\nc < a: y\nd: re x"), "((1)(2)(3))");
        assert_eq!(references("b < a: x\nc < a: y\ne < d: x\nf < d: z"), "((1)(2)(3)(4))");
    }

    #[test]
    fn loops_and_doubles() {
        assert_eq!(references("a < b: p\nb < a: q"), "(2 1)");
        assert_eq!(references("a < a: p"), "(1)");
        assert_eq!(references("a: p\na: q\nb < a: r"), "(1 3)(2)");
        assert_eq!(references(": p\n: q"), "(1)(2)");
        // A truncated References field is set right by the message itself (step 1.B).
        assert_eq!(references("c < a b: p\nb < x: q\na: r\nx: s"), "(3)(4 2 1)");
    }

    #[test]
    fn by_subject_alone() {
        let threads = by_subject(&items("a: x\nb: y\nc: re x\nd: x\ne: re y"));
        assert_eq!(told(&threads), "(1 (3)(4))(2 5)");
    }

    #[test]
    fn depth_is_no_matter_and_time_is_linear() {
        let chain: Vec<Item<'_>> = (0..50_000u32)
            .map(|n| Item {
                number: n + 1,
                message_id: Some(n.into()),
                references: slice([u64::from(n) + 1].into_iter()),
                ..Item::default()
            })
            .collect();
        let started = std::time::Instant::now();
        let text = told(&by_references(&chain));
        assert!(text.starts_with("(50000 49999 ") && text.ends_with(" 2 1)"));
        assert!(started.elapsed().as_secs() < 10);
    }

    proptest! {
        /// Whatever refers to whatever, each message is in exactly one place.
        #[test]
        fn each_once(
            ids in proptest::collection::vec((0u8..12, proptest::collection::vec(0u8..12, 0..5), 0u8..4, any::<bool>()), 0..30),
        ) {
            let items: Vec<Item<'_>> = ids.iter().enumerate().map(|(at, (id, references, subject, is_reply))| Item {
                number: at as u32 + 1,
                message_id: Some((*id).into()),
                references: slice(references.iter().map(|&id| id.into())),
                subject: (*subject).into(),
                is_reply: *is_reply,
                sent_secs: i64::from(*id),
            }).collect();
            for threads in [by_references(&items), by_subject(&items)] {
                let text = told(&threads);
                let mut numbers: Vec<u32> = text
                    .split(|c: char| !c.is_ascii_digit())
                    .filter_map(|number| number.parse().ok())
                    .collect();
                numbers.sort_unstable();
                prop_assert_eq!(numbers, (1..=items.len() as u32).collect::<Vec<_>>(), "{}", text);
            }
        }
    }
}
