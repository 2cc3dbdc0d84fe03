//! The topology of a file that is converted without one: what `new --from` would write for it, if the file leaves no doubt.

use std::path::{Path, PathBuf};

use sheetstream::aggregate::SheetKey;
use sheetstream::crs::ranking::{Certainty, Ranking};
use sheetstream::inspect::used_columns::UsedColumns;
use sheetstream::map::MapConfig;
use sheetstream::record::CoordinateForm;
use sheetstream::topology::Topology;

use super::exit::UsageError;
use super::input::Input;
use super::out::say;
use super::sample_file::Found;
use super::shown::shown;

/// Families of coordinate systems that a message names.
const NAMED_MAX: usize = 3;
/// Longitude and latitude.
const LON_LAT: &str = "EPSG:4326";

/// Finds the topology of the only file, and says what was found.
///
/// # Errors
/// There are several files, or none that can be read twice, the coordinates fit several systems, or a CRS is given and there are none.
pub(super) fn found_topology(files: &[PathBuf], input: &Input) -> anyhow::Result<Topology> {
    let path = match files {
        [path] if path.as_os_str() != "-" => path,
        [_] => return Err(UsageError("standard input is read once: --topology says what becomes of it".into()).into()),
        _ => return Err(UsageError("--topology says what becomes of several files".into()).into()),
    };
    let crs = input.crs(None)?;
    let mut found = Found::in_file(path, input.reading(), input.worksheet())?;
    if let (None, None, Some(ranking)) = (crs, &found.suggestion.crs_column, &found.suggestion.ranking) {
        check_certainty(path, ranking)?;
        if ranking.points > 0 && ranking.certainty == Certainty::None {
            let columns =
                [&found.used.x, &found.used.y].map(|name| format!("\"{}\"", name.as_deref().unwrap_or_default()));
            say!(
                "{}: {} fit no coordinate system and stay as they are: --crs names theirs, if they are coordinates",
                shown(&path.display().to_string()),
                shown(&columns.join(" and "))
            );
            found.used = UsedColumns { x: None, y: None, coordinates: CoordinateForm::None, ..found.used };
        }
    }
    if crs.is_some() && found.used.x.is_none() {
        return Err(refused(path, "no column has coordinates for --crs; `sheetstream inspect` shows its columns"));
    }
    let topology = Topology::parse(&found.draft(None).to_toml(), "the topology that was found", &|_| None)?;
    let columns = topology.maps.iter().find_map(MapConfig::as_reproject).map(|map| map.input.columns());
    let columns: Vec<_> = columns.iter().flatten().flat_map(|names| names.first()).collect();
    let coordinates = match topology.about().crs.first().filter(|_| !columns.is_empty()) {
        Some(pair) => {
            let alike = found.suggestion.ranking.as_ref().filter(|_| crs.is_none()).and_then(alike).unwrap_or_default();
            let names: Vec<_> = columns.iter().map(|name| format!("\"{}\"", shown(name))).collect();
            let by_row = pair.row_column.as_ref().map(|column| format!("the system that \"{}\" names", shown(column)));
            let crs = crs.map(str::to_owned).or(by_row).unwrap_or_else(|| pair.from.label());
            format!("coordinates in {}, {}{alike}", names.join(" and "), shown(&crs))
        }
        None => "no coordinates".to_owned(),
    };
    let sheets = match &topology.aggregate.sheet {
        SheetKey::Column(column) => format!("a sheet for each \"{}\"", shown(column)),
        SheetKey::Template(_) | SheetKey::Topic => "one sheet".to_owned(),
    };
    let name = path.display().to_string();
    let name = shown(&name);
    let columns = found.used.x.as_ref().zip(found.used.y.as_ref());
    if let Some(note) = columns.and_then(|(x, y)| found.table.notation_note([x, y])) {
        say!("{name}: {}", shown(&note));
    }
    if let Some(note) = found.table.cut_note() {
        say!("{name}: {}", shown(&note));
    }
    if let Some(contradiction) = found.suggestion.ranking.as_ref().and_then(Ranking::contradiction) {
        say!("{name}: {}: --crs names theirs, and `sheetstream inspect` shows more", shown(&contradiction));
    }
    say!("{name}: without --topology: {coordinates}, {sheets}; `sheetstream new --from {name}` writes this down");
    Ok(topology)
}

/// The other systems of the first family, where nothing but a guess decides between them. Those of degrees are left out: degrees of an old
/// datum are rare.
fn alike(ranking: &Ranking) -> Option<String> {
    let family = ranking.families.first()?;
    let [first, others @ ..] = &family.systems[..] else { return None };
    let is_guess = ranking.header.as_ref() != Some(&first.definition) && first.definition != LON_LAT;
    let others: Vec<_> = others.iter().take(NAMED_MAX).map(|system| &*system.definition).collect();
    (is_guess && !others.is_empty()).then(|| {
        let others = others.join(" or ");
        format!(" (or {others}, {:.0} m away: the points cannot show which, --crs says it)", family.spread_m)
    })
}

/// Several systems put the points at different places, and a wrong one would not be noticed.
fn check_certainty(path: &Path, ranking: &Ranking) -> anyhow::Result<()> {
    let systems = match ranking.certainty {
        _ if ranking.points == 0 => return Ok(()),
        Certainty::Ambiguous => fitting_systems(ranking),
        Certainty::None | Certainty::Land | Certainty::Header | Certainty::Places | Certainty::Declared => {
            return Ok(());
        }
    };
    let why = format!("its coordinates fit several coordinate systems, such as {systems}");
    Err(refused(path, &format!("{why}: --crs names theirs, and `sheetstream inspect` shows more")))
}

/// The first systems of the likeliest families: `EPSG:5186 or EPSG:5181 with x and y swapped`.
fn fitting_systems(ranking: &Ranking) -> String {
    let families = ranking.families.iter().take(NAMED_MAX);
    let systems = families.map(|family| {
        let swapped = if family.is_swapped { " with x and y swapped" } else { "" };
        format!("{}{swapped}", family.systems[0].definition)
    });
    systems.collect::<Vec<_>>().join(" or ")
}

fn refused(path: &Path, why: &str) -> anyhow::Error {
    UsageError(format!("{}: {why}", shown(&path.display().to_string()))).into()
}
