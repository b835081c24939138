//! The fenced blocks of a Markdown page, and what comments above them say of how they are tested.

/// A block with what is known of it.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The line of its opening fence, from 1.
    pub(crate) line: usize,
    /// What stands behind the fence: `sh`, `toml`, ...
    pub(crate) language: String,
    /// Its text, without the indentation of its fence.
    pub(crate) text: String,
    /// Orders of `<!-- test ORDER: ARGUMENT -->` above it.
    orders: Vec<(String, String)>,
}

impl Block {
    /// The argument of an order.
    pub(crate) fn order(&self, name: &str) -> Option<&str> {
        let mut named = self.orders.iter().filter(|(order, _)| order == name);
        named.next().map(|(_, argument)| argument.as_str())
    }

    /// All orders.
    pub(crate) fn orders(&self) -> impl Iterator<Item = &str> {
        self.orders.iter().map(|(order, _)| order.as_str())
    }
}

/// All blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut orders = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (index, line) in page.lines().enumerate() {
        let bare = line.trim();
        if let Some((indent, mut block)) = open.take() {
            if bare == "```" {
                blocks.push(block);
                continue;
            }
            let text = line.get(indent.min(line.len() - line.trim_start().len())..);
            block.text.push_str(text.unwrap());
            block.text.push('\n');
            open = Some((indent, block));
        } else if let Some(language) = bare.strip_prefix("```") {
            let block = Block {
                line: index + 1,
                language: language.to_owned(),
                text: String::new(),
                orders: std::mem::take(&mut orders),
            };
            open = Some((line.len() - line.trim_start().len(), block));
        } else if let Some(order) = order(bare) {
            orders.push(order);
        } else if !bare.is_empty() {
            assert!(
                orders.is_empty(),
                "line {}: orders without a block",
                index + 1
            );
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

fn order(line: &str) -> Option<(String, String)> {
    let order = line.strip_prefix("<!-- test ")?.strip_suffix(" -->")?;
    let (name, argument) = order.split_once(": ")?;
    Some((name.to_owned(), argument.to_owned()))
}
