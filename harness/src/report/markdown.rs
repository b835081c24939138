//! Text in Markdown: tables whose cells may hold anything. Knows nothing of what is written.

/// A table that is being filled.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Table {
        Table {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing columns at its end stay empty.
    pub(crate) fn row<T: Into<String>>(&mut self, row: impl IntoIterator<Item = T>) {
        let mut row: Vec<String> = row.into_iter().map(Into::into).collect();
        row.resize(self.head.len(), String::new());
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table with an empty line behind it. Columns that are empty in every row are left out.
    pub(crate) fn text(&self) -> String {
        let kept: Vec<usize> = (0..self.head.len())
            .filter(|column| self.rows.iter().any(|row| !row[*column].is_empty()))
            .collect();
        let line = |row: &[String]| -> String {
            let cells: Vec<String> = kept.iter().map(|column| escape(&row[*column])).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule: Vec<String> = self.head.iter().map(|_| "---".to_owned()).collect();
        let mut text = line(&self.head) + &line(&rule);
        for row in &self.rows {
            text += &line(row);
        }
        text + "\n"
    }
}

/// Text that stands for itself in a table's cell.
fn escape(text: &str) -> String {
    text.replace('|', "\\|")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_break_a_table_and_empty_columns_are_left_out() {
        let mut table = Table::new(["a", "b", "c"]);
        table.row(["1|2", "", "two\nlines"]);
        table.row(["3"]);
        assert_eq!(
            table.text(),
            "| a | c |\n| --- | --- |\n| 1\\|2 | two lines |\n| 3 |  |\n\n"
        );
    }
}
