//! What a page says about where its figures come from.

use broker::node::PRODUCT;

use crate::environment::Environment;
use crate::history::Line;
use crate::invocation::{self, shell};
use crate::result::{RunResult, Summary};
use crate::tls::TlsFigures;
use crate::utc::Utc;
use crate::verdict::Outcome;

/// Ids that a caption shows; of more only the first and the last, and all of them in the picture's description.
const IDS_SHOWN_MAX: usize = 6;

/// Title and provenance of a page: every chart carries its run ids, commits, machine, date and command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caption {
    /// In large letters.
    pub title: String,
    /// Behind the title, when the page shows one run.
    pub verdict: Option<Outcome>,
    /// What the figures were paid for with, or what is compared.
    pub note: String,
    /// Who was driven, by what, where and when.
    pub source: String,
    /// The runs that are shown.
    pub ids: Vec<String>,
    /// How to make them again; empty when it is not known.
    pub command: String,
}

impl Caption {
    /// Of one run.
    #[must_use]
    pub fn of_run(run: &RunResult) -> Self {
        let summary = &run.summary;
        let mut title = summary.scenario.clone();
        if !summary.overrides.is_empty() {
            title.push_str(" (overridden)");
        }
        let environment = &run.environment;
        Self {
            title,
            verdict: Some(summary.verdict),
            note: summary.describe_setting(),
            source: format!(
                "{} · {} driver · commit {} · {} · {} · {}",
                server(summary),
                summary.driver.name(),
                environment.commit_short(),
                environment.machine(),
                environment.kernel,
                date(&run.started),
            ),
            ids: vec![run.id.clone()],
            command: shell(&run.command),
        }
    }

    /// Of several runs of the history, oldest first.
    #[must_use]
    pub fn of_lines(title: &str, note: &str, lines: &[&Line]) -> Self {
        let distinct = |of: &dyn Fn(&Line) -> String| {
            let mut all: Vec<String> = Vec::new();
            for line in lines {
                let value = of(line);
                if !all.contains(&value) {
                    all.push(value);
                }
            }
            all
        };
        let commits = distinct(&|line| commit(line));
        let commits = match commits.as_slice() {
            [] => "no commit".into(),
            [one] => format!("commit {one}"),
            [first, .., last] => format!("{} commits, {first} … {last}", commits.len()),
        };
        let with_tls = lines.iter().any(|line| line.summary.tls.is_some());
        let tls = distinct(&|line| TlsFigures::describe_any(line.summary.tls.as_ref()));
        let tls = if with_tls {
            format!(" · {}", tls.join(" and "))
        } else {
            String::new()
        };
        let machines = distinct(&|line| line.environment.machine()).join(", ");
        let dates = match (lines.first(), lines.last()) {
            (Some(first), Some(last)) if first.id != last.id => {
                format!("{} … {}", date(&first.started), date(&last.started))
            }
            (Some(only), _) => date(&only.started),
            _ => "no run".into(),
        };
        let mut commands = distinct(&|line| shell(&line.command));
        // Lines older than the field have none.
        commands.retain(|command| !command.is_empty());
        Self {
            title: title.into(),
            verdict: None,
            note: note.into(),
            source: format!(
                "{}{tls} · {commits} · {machines} · {dates}",
                distinct(&|line| server(&line.summary)).join(", ")
            ),
            ids: lines.iter().map(|line| line.id.clone()).collect(),
            command: match commands.as_slice() {
                [] => String::new(),
                [one] => one.clone(),
                [first, ..] => format!("{first} (and {} other command lines)", commands.len() - 1),
            },
        }
    }

    /// Of the runs `ids` of one target that this command line has just made.
    #[must_use]
    pub fn of_series(
        scenario: &str,
        note: String,
        target: &str,
        environment: &Environment,
        ids: Vec<String>,
    ) -> Self {
        Self {
            title: scenario.into(),
            verdict: None,
            note,
            source: format!(
                "{target} · commit {} · {} · {} · {}",
                environment.commit_short(),
                environment.machine(),
                environment.kernel,
                Utc::now().short(),
            ),
            ids,
            command: shell(&invocation::command()),
        }
    }

    /// The ids as a caption shows them.
    pub(super) fn runs(&self) -> String {
        match self.ids.as_slice() {
            [] => String::new(),
            [one] => format!("run {one}"),
            [first, .., last] if self.ids.len() > IDS_SHOWN_MAX => {
                format!("{} runs: {first} … {last}", self.ids.len())
            }
            several => format!("runs {}", several.join(", ")),
        }
    }

    /// Everything in words, for those who do not see the picture.
    pub(super) fn description(&self) -> String {
        let verdict = self.verdict.map_or("", Outcome::name);
        [
            verdict,
            &self.note,
            &self.source,
            &format!("runs {}", self.ids.join(", ")),
            &self.command,
        ]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ")
    }
}

/// The commit of the broker, where it is known, or that of the generator.
pub(super) fn commit(line: &Line) -> String {
    match &line.summary.broker_commit {
        Some(commit) => commit.clone(),
        None => line.environment.commit_short(),
    }
}

/// The broker's own name, or where it was found. A build of a commit of this project is the reference broker, also where
/// it told clients to treat it as RabbitMQ.
pub(super) fn server(summary: &Summary) -> String {
    if summary.broker_commit.is_some() && summary.server.starts_with("RabbitMQ") {
        PRODUCT.into()
    } else if summary.server.is_empty() {
        summary.target.clone()
    } else {
        summary.server.clone()
    }
}

fn date(started: &str) -> String {
    started.replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::tls;
    use crate::result::tests::run_result;

    #[test]
    fn a_run_says_where_it_comes_from() {
        let run = run_result("20p20c");
        let caption = Caption::of_run(&run);
        assert_eq!(caption.title, "20p20c");
        for part in [
            "fixture 1.0",
            "native driver",
            &run.environment.commit_short(),
            &run.environment.kernel,
        ] {
            assert!(caption.source.contains(part), "{part}");
        }
        assert_eq!(caption.command, "loadgen --scenario 20p20c");
        assert!(caption.description().contains(&run.id));
    }

    #[test]
    fn tls_is_a_part_of_where_figures_come_from() {
        let mut run = run_result("20p20c");
        let plain = Line::from(&run);
        run.summary.tls = Some(tls("TLSv1.2"));
        assert!(
            Caption::of_run(&run)
                .note
                .ends_with(" · TLSv1.2, SUITE, verify_peer")
        );
        let caption = Caption::of_lines("t", "n", &[&plain, &Line::from(&run)]);
        let expected = " · plain TCP and TLSv1.2, SUITE, verify_peer · ";
        assert!(caption.source.contains(expected), "{}", caption.source);
        assert!(!Caption::of_lines("t", "n", &[&plain]).source.contains("TCP"));
    }

    #[test]
    fn many_runs_are_named_by_first_and_last_and_described_in_full() {
        let mut lines: Vec<Line> = (0..9).map(|_| Line::from(&run_result("20p20c"))).collect();
        for (index, line) in lines.iter_mut().enumerate() {
            line.id = format!("id-{index}");
            line.summary.broker_commit = Some(format!("c{index}"));
        }
        let caption = Caption::of_lines("t", "n", &lines.iter().collect::<Vec<_>>());
        assert_eq!(caption.runs(), "9 runs: id-0 … id-8");
        assert!(
            caption.source.contains("9 commits, c0 … c8"),
            "{}",
            caption.source
        );
        assert!((0..9).all(|index| caption.description().contains(&format!("id-{index}"))));
        assert_eq!(Caption::of_lines("t", "n", &[]).runs(), "");
    }

    #[test]
    fn a_build_of_a_commit_is_the_reference_broker_also_where_it_says_rabbitmq() {
        let mut line = Line::from(&run_result("20p20c"));
        line.summary.server = "RabbitMQ 3.13.7".into();
        line.summary.broker_commit = None;
        assert_eq!(server(&line.summary), "RabbitMQ 3.13.7");
        line.summary.broker_commit = Some("c1".into());
        assert_eq!(server(&line.summary), PRODUCT);
    }

    #[test]
    fn a_line_without_a_command_does_not_hide_the_others() {
        let (mut old, new) = (
            Line::from(&run_result("20p20c")),
            Line::from(&run_result("20p20c")),
        );
        old.command.clear();
        assert_eq!(
            Caption::of_lines("t", "n", &[&old, &new]).command,
            "loadgen --scenario 20p20c"
        );
    }
}
