//! The columns of the rows that a topology needs, and names made alike on both sides: in the file of the topology and in the rows.

use super::Topology;
use crate::aggregate::{AggregateConfig, SheetKey};
use crate::map::{LinkConfig, MapConfig};
use crate::record::TemplatePart;
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
    topology.maps.iter_mut().flat_map(MapConfig::names_mut).for_each(clean);
    topology.link.iter_mut().flat_map(LinkConfig::names_mut).for_each(clean);
    topology.sink.workbook.summary_numbers.iter_mut().for_each(clean);
    match &mut topology.aggregate.sheet {
        SheetKey::Topic => {}
        SheetKey::Column(name) => clean(name),
        SheetKey::Template(parts) => parts.iter_mut().filter_map(TemplatePart::column_mut).for_each(clean),
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
        map.reads().into_iter().for_each(|names| need(names, &added));
        added.extend(map.makes());
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
