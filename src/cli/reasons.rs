//! `reasons`: explains reason codes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use sheetstream::record::{Lang, Reason, reasons_markdown};

use super::{EXAMPLES_FIRST, Exit, Global};

const EXAMPLES: &str = "Examples:
  sheetstream reasons csv.field_count
  sheetstream reasons --json | jq 'keys'
";

/// Explain reason codes
#[derive(Args, Debug)]
#[command(help_template = EXAMPLES_FIRST, before_help = EXAMPLES)]
pub(crate) struct Reasons {
    /// Codes, as in a dead letter or a status; all of them without one
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
    /// All codes as a page of documentation
    #[arg(long, conflicts_with_all = ["codes", "json"])]
    markdown: bool,
}

impl Reasons {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let mut out = io::stdout();
        if self.markdown {
            write!(out, "{}", reasons_markdown())?;
            return Ok(Exit::Ok);
        }
        let named = self.codes.iter().map(|code| known(code)).collect::<anyhow::Result<Vec<Reason>>>()?;
        let reasons = if named.is_empty() { Reason::ALL } else { &named };
        if global.json {
            let all: BTreeMap<_, _> = reasons.iter().map(|reason| (reason.code(), reason.facts())).collect();
            serde_json::to_writer_pretty(&mut out, &all)?;
            writeln!(out)?;
            return Ok(Exit::Ok);
        }
        for reason in reasons {
            writeln!(out, "{reason} ({})\n  {}", reason.concern(), reason.explain(Lang::En))?;
            if let Some(option) = reason.option() {
                writeln!(out, "  in the topology: {option}")?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// The reason of a code; the nearest one is named in the error.
pub(super) fn known(code: &str) -> anyhow::Result<Reason> {
    let near = || {
        let near = Reason::ALL
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a.code(), code).total_cmp(&strsim::jaro_winkler(b.code(), code)));
        near.map_or("", |near| near.code())
    };
    Reason::of_code(code).with_context(|| format!("there is no reason {code}; the nearest is {}", near()))
}
