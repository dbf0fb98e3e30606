//! What a step may do while programs that do not know it go on: add what they need not know of. A statement of any other kind is
//! refused, whatever it is.

use std::{collections::BTreeSet, iter::Peekable, str::Chars};

use super::Step;

/// Words in capitals, and marks; what is in texts, comments and bodies of functions is none of them.
fn statements(sql: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut rest = sql.chars().peekable();
    while let Some(letter) = rest.next() {
        let words = all.last_mut().expect("there is always one");
        match letter {
            '-' if rest.peek() == Some(&'-') => _ = rest.by_ref().find(|letter| *letter == '\n'),
            '/' if rest.peek() == Some(&'*') => after(&mut rest, "*/"),
            '\'' => {
                words.push("''".to_owned());
                after(&mut rest, "'");
            }
            '$' => {
                let mut mark = "$".to_owned();
                mark.extend(rest.by_ref().take_while(|letter| *letter != '$'));
                mark.push('$');
                words.push("''".to_owned());
                after(&mut rest, &mark);
            }
            '"' => words
                .push(rest.by_ref().take_while(|letter| *letter != '"').collect::<String>().to_uppercase()),
            ';' => all.push(Vec::new()),
            letter if is_of_word(letter) => {
                let mut word = letter.to_string();
                while let Some(letter) = rest.next_if(|letter| is_of_word(*letter)) {
                    word.push(letter);
                }
                words.push(word.to_uppercase());
            }
            letter if letter.is_whitespace() => {}
            mark => words.push(mark.to_string()),
        }
    }
    all.retain(|words| !words.is_empty());
    all
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '.')
}

fn after(rest: &mut Peekable<Chars<'_>>, end: &str) {
    let mut seen = String::new();
    for letter in rest.by_ref() {
        seen.push(letter);
        if seen.ends_with(end) {
            return;
        }
    }
}

/// The statements that do more than add.
fn breaking(sql: &str) -> Vec<String> {
    let mut made = BTreeSet::new();
    let mut breaking = Vec::new();
    for words in statements(sql) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !adds(&words, &mut made) {
            breaking.push(words.join(" "));
        }
    }
    breaking
}

/// `made` are the tables of this step: what is done to them nobody else can notice.
fn adds(words: &[&str], made: &mut BTreeSet<String>) -> bool {
    match words {
        // It may be there, and is not this step's then.
        ["CREATE", "TABLE", "IF", ..] => false,
        ["CREATE", "TABLE", name, ..] => {
            made.insert(name.trim_start_matches("RAMPART.").to_owned());
            true
        }
        // A condition that others do not know of they would fail at.
        ["CREATE", "UNIQUE", "INDEX", ..] | ["CREATE", "POLICY", ..] => on(words, made),
        ["CREATE", "INDEX" | "FUNCTION" | "SEQUENCE" | "VIEW", ..] => true,
        ["ALTER", "TABLE", name, ..] if made.contains(name.trim_start_matches("RAMPART.")) => true,
        ["ALTER", "TABLE", _, "SET", "(", ..] => true,
        ["ALTER", "TABLE", _, actions @ ..] => actions_of(actions).iter().all(|action| adds_column(action)),
        ["GRANT" | "COMMENT" | "ANALYZE", ..] => true,
        // Of rights on something that this step made.
        ["REVOKE", "ALL", "ON", "FUNCTION", ..] => true,
        ["SET", "LOCAL", "SEARCH_PATH", ..] => true,
        _ => false,
    }
}

fn on(words: &[&str], made: &BTreeSet<String>) -> bool {
    let table = words.iter().skip_while(|word| **word != "ON").nth(1);
    table.is_some_and(|table| made.contains(table.trim_start_matches("RAMPART.")))
}

/// Separated by commas that are in no parentheses.
fn actions_of<'w>(words: &[&'w str]) -> Vec<Vec<&'w str>> {
    let (mut actions, mut depth) = (vec![Vec::new()], 0_i32);
    for word in words {
        depth += i32::from(*word == "(") - i32::from(*word == ")");
        match (*word, depth) {
            (",", 0) => actions.push(Vec::new()),
            (word, _) => actions.last_mut().expect("there is always one").push(word),
        }
    }
    actions
}

/// Who does not know the column leaves it out of what is written.
fn adds_column(action: &[&str]) -> bool {
    let definition = match action {
        ["ADD", "COLUMN", "IF", "NOT", "EXISTS", definition @ ..] => definition,
        ["ADD", "COLUMN", definition @ ..] => definition,
        _ => return false,
    };
    let says = |wanted: &[&str]| definition.windows(wanted.len()).any(|words| words == wanted);
    let filled = says(&["DEFAULT"]) && !says(&["DEFAULT", "NULL"]) || says(&["GENERATED"]);
    let is_key = says(&["UNIQUE"]) || says(&["PRIMARY"]);
    // It may be about other columns.
    let is_condition = says(&["CHECK"]);
    // With a default, a reference or a condition would be about rows that others write.
    let binds = says(&["REFERENCES"]) && filled;
    !(says(&["NOT", "NULL"]) && !filled || is_key || is_condition || binds)
}

/// What is wrong with the steps of a database, of which the latest release knows so many. The first makes everything.
fn faults(steps: &[Step], released: u64) -> Vec<String> {
    let mut faults = Vec::new();
    for (known, pair) in steps.windows(2).enumerate() {
        let [before, step] = pair else { continue };
        let name = step.name;
        // Whoever met this step as a new one: the latest release, or one before it, of which nobody knows more than this.
        let previous = (known as u64 + 1).min(released.max(1));
        if step.needs < before.needs || step.needs > previous.max(before.needs) {
            faults.push(format!(
                "{name}: needs {}: from {} to {previous}: what a step takes away, the release before does without",
                step.needs, before.needs
            ));
        }
        if step.needs == before.needs {
            faults.extend(breaking(step.sql).iter().map(|statement| format!("{name}: `{statement}`")));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_step_leaves_the_release_before_at_work() {
        for (directory, steps) in [("sqlite", crate::sqlite::STEPS), ("postgres", crate::postgres::STEPS)] {
            assert_eq!(faults(steps, super::super::RELEASED), Vec::<String>::new(), "{directory}");
            assert_eq!(steps[0].needs, 1, "{directory}");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(directory);
            let files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
            let mut files: Vec<_> =
                files.filter(|path| path.extension().is_some_and(|end| end == "sql")).collect();
            files.sort();
            let texts: Vec<(String, String)> = files
                .iter()
                .map(|path| {
                    (
                        path.file_stem().unwrap().to_string_lossy().into(),
                        std::fs::read_to_string(path).unwrap(),
                    )
                })
                .collect();
            let known: Vec<(String, String)> =
                steps.iter().map(|step| (step.name.to_owned(), step.sql.to_owned())).collect();
            assert_eq!(known, texts, "{directory}: every file is a step, in order");
        }
        let both = |step: &Step| (step.name, step.needs);
        let sqlite: Vec<_> = crate::sqlite::STEPS.iter().map(both).collect();
        assert_eq!(sqlite, crate::postgres::STEPS.iter().map(both).collect::<Vec<_>>(), "they go together");
    }

    #[test]
    fn what_only_adds_is_taken() {
        for sql in [
            "CREATE TABLE notes (tenant_id uuid NOT NULL REFERENCES tenants, note text UNIQUE); -- DROP TABLE tasks;\n\
         ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE UNIQUE INDEX notes_once ON notes (note); \
         CREATE POLICY of_tenant ON notes FOR ALL TO rampart_tenant USING (tenant_id = (SELECT current_tenant())); \
         GRANT SELECT, DELETE ON notes TO rampart_tenant",
            "SET LOCAL search_path = rampart; CREATE INDEX tasks_late ON tasks (tenant_id, note) WHERE note IS NOT NULL",
            "ALTER TABLE tasks ADD COLUMN note text, ADD COLUMN times numeric(10, 2) NOT NULL DEFAULT 0",
            "ALTER TABLE rampart.tasks ADD COLUMN IF NOT EXISTS note text DEFAULT 'NOT NULL; DROP TABLE tasks'",
            "ALTER TABLE scans ADD COLUMN note_id uuid REFERENCES notes /* ALTER TABLE scans RENAME */",
            "ALTER TABLE tasks SET (fillfactor = 60)",
            "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS $body$ SELECT 1; DROP $body$; \
         REVOKE ALL ON FUNCTION later() FROM PUBLIC",
        ] {
            assert_eq!(breaking(sql), Vec::<String>::new(), "{sql}");
        }
    }

    #[test]
    fn what_the_release_before_would_notice_is_refused() {
        for sql in [
            "DROP TABLE task_keys",
            "drop index tasks_due",
            "ALTER TABLE tasks DROP COLUMN unit",
            "ALTER TABLE tasks ADD COLUMN note text, DROP COLUMN unit",
            "ALTER TABLE tasks RENAME COLUMN unit TO thing",
            "ALTER TABLE tasks RENAME TO jobs",
            "ALTER TABLE tasks ALTER COLUMN unit TYPE bytea",
            "ALTER TABLE tasks ALTER unit SET DATA TYPE bytea",
            "ALTER TABLE tasks ALTER COLUMN unit SET NOT NULL",
            "ALTER TABLE tasks ALTER COLUMN unit DROP NOT NULL",
            "ALTER TABLE tasks ADD COLUMN note text NOT NULL",
            "ALTER TABLE tasks ADD COLUMN note text NOT NULL DEFAULT NULL",
            "ALTER TABLE tasks ADD note text NOT NULL",
            "ALTER TABLE tasks ADD COLUMN note text UNIQUE",
            "ALTER TABLE tasks ADD COLUMN note uuid DEFAULT '1' REFERENCES notes",
            "ALTER TABLE tasks ADD CONSTRAINT short CHECK (length(unit) < 10)",
            "ALTER TABLE tasks ADD CHECK (attempts < 10)",
            "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE tasks SET SCHEMA public",
            "CREATE UNIQUE INDEX once ON tasks (unit)",
            "CREATE POLICY narrower ON tasks AS RESTRICTIVE FOR ALL TO rampart_tenant USING (false)",
            "CREATE OR REPLACE FUNCTION store_time() RETURNS timestamptz LANGUAGE sql AS $$ SELECT now() $$",
            "CREATE TRIGGER late BEFORE INSERT ON tasks EXECUTE FUNCTION late()",
            "REVOKE UPDATE ON tasks FROM rampart_queue",
            "DO $$ BEGIN DROP TABLE tasks; END $$",
            "DELETE FROM tasks",
            "UPDATE tasks SET state = 'waiting'",
            "TRUNCATE tasks",
            "CREATE TABLE a (b int); DROP TABLE tasks",
            "CREATE TABLE IF NOT EXISTS tasks (a int)",
            "ALTER TABLE tasks ADD COLUMN note int CHECK (attempts < 10)",
        ] {
            assert_eq!(breaking(sql).len(), 1, "{sql}");
        }
    }

    #[test]
    fn who_is_left_behind_is_said_and_never_the_release_before() {
        const FIRST: Step = Step { name: "1", sql: "CREATE TABLE a (b int, c int)", needs: 1 };
        const SECOND: Step = Step { name: "2", sql: "ALTER TABLE a ADD COLUMN d int", needs: 1 };
        let third = |needs| Step { name: "3", sql: "ALTER TABLE a DROP COLUMN c", needs };
        assert_eq!(faults(&[FIRST, SECOND], 0), Vec::<String>::new());
        for (needs, released, says) in [
            (0, 2, "needs 0"),
            (1, 2, "DROP COLUMN C"),
            (3, 2, "needs 3"),
            (2, 1, "needs 2"),
            (2, 0, "needs 2"),
        ] {
            let found = faults(&[FIRST, SECOND, third(needs)], released);
            assert!(found.len() == 1 && found[0].contains(says), "{needs} of {released}: {found:?}");
        }
        for released in [2, 3] {
            let found = faults(&[FIRST, SECOND, third(2)], released);
            assert_eq!(found, Vec::<String>::new(), "whoever knows the second does without it");
        }
    }
}
