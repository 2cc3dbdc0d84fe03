//! Which columns of the rows a topology cannot do without, and names made alike on both sides: in the file of the topology as in the rows.

use super::Topology;
use crate::aggregate::{AggregateConfig, SheetKey, TemplatePart};
use crate::map::CoordinateInput;
use crate::map::MapConfig;
use crate::source::{HeaderFrom, clean_name};

/// Cleans every name of a column, as the source cleans those of the rows.
pub(super) fn clean_names(topology: &mut Topology) {
    let clean = |name: &mut String| *name = clean_name(name).into_owned();
    let source = &mut topology.source;
    if let HeaderFrom::Declared(names) = &source.header {
        source.header = HeaderFrom::Declared(names.iter().map(|name| clean_name(name).into_owned()).collect());
    }
    let columns = std::mem::take(&mut source.columns);
    source.columns = columns.into_iter().map(|(name, kind)| (clean_name(&name).into_owned(), kind)).collect();
    let forms = std::mem::take(&mut source.forms);
    source.forms = forms.into_iter().map(|(name, form)| (clean_name(&name).into_owned(), form)).collect();
    for map in &mut topology.maps {
        match map {
            MapConfig::Reproject(map) => {
                match &mut map.input {
                    CoordinateInput::Columns { x, y } => x.iter_mut().chain(y).for_each(clean),
                    CoordinateInput::Geometry(names) => names.iter_mut().for_each(clean),
                }
                map.into.iter_mut().for_each(clean);
            }
            MapConfig::Select(map) => map.columns.iter_mut().for_each(|(from, name)| {
                clean(from);
                clean(name);
            }),
        }
    }
    match &mut topology.aggregate.sheet {
        SheetKey::Topic => {}
        SheetKey::Column(name) => clean(name),
        SheetKey::Template(parts) => parts.iter_mut().for_each(|part| match part {
            TemplatePart::Column(name) | TemplatePart::ColumnOr(name, _) => clean(name),
            TemplatePart::Literal(_) => {}
        }),
    }
}

/// Columns that have to come with the rows, each by all names it may have: what no node before adds.
pub(super) fn needed_columns(maps: &[MapConfig], aggregate: &AggregateConfig) -> Vec<Vec<String>> {
    let mut needed = Vec::new();
    let mut added: Vec<&String> = Vec::new();
    let mut need = |candidates: Vec<String>, added: &[&String]| {
        if !candidates.iter().any(|name| added.contains(&name)) && !needed.contains(&candidates) {
            needed.push(candidates);
        }
    };
    for map in maps {
        match map {
            MapConfig::Reproject(map) => {
                match &map.input {
                    CoordinateInput::Columns { x, y } => [x, y].into_iter().for_each(|c| need(c.clone(), &added)),
                    CoordinateInput::Geometry(names) => need(names.clone(), &added),
                }
                added.extend(&map.into);
            }
            MapConfig::Select(map) => {
                map.columns.iter().for_each(|(from, _)| need(vec![from.clone()], &added));
                added.extend(map.columns.iter().map(|(_, name)| name));
            }
        }
    }
    match &aggregate.sheet {
        SheetKey::Topic => {}
        SheetKey::Column(name) => need(vec![name.clone()], &added),
        SheetKey::Template(parts) => parts.iter().for_each(|part| match part {
            TemplatePart::Column(name) => need(vec![name.clone()], &added),
            TemplatePart::Literal(_) | TemplatePart::ColumnOr(..) => {}
        }),
    }
    needed
}
