//! Axes in the order of a CRS itself. PROJ brings most of them into the order east, north. It leaves those that run to the south or the
//! west, as in South African and Czech systems; a step before or behind an operation turns them to the east and the north.

/// The two axes of a CRS, in its own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnAxes {
    first_is_x: bool,
    is_west: bool,
    is_south: bool,
}

impl OwnAxes {
    /// Of the directions of both axes; `None` where both run along meridians.
    pub(super) fn of(first: &str, second: &str) -> Option<OwnAxes> {
        let (first_is_x, x, y) = match (first, second) {
            (x @ ("east" | "west"), y @ ("north" | "south")) => (true, x, y),
            (y @ ("north" | "south"), x @ ("east" | "west")) => (false, x, y),
            _ => return None,
        };
        Some(OwnAxes { first_is_x, is_west: x == "west", is_south: y == "south" })
    }

    /// Whether PROJ leaves them as they are.
    pub(super) fn stay(self) -> bool {
        self.is_west || self.is_south
    }

    /// x (east) and y (north) as the CRS itself counts them.
    pub(super) fn own(self, (x, y): (f64, f64)) -> (f64, f64) {
        let (x, y) = (if self.is_west { -x } else { x }, if self.is_south { -y } else { y });
        if self.first_is_x { (x, y) } else { (y, x) }
    }

    /// The names of its axes, in its own order: `southing and westing`.
    pub fn names(self) -> String {
        let x = if self.is_west { "westing" } else { "easting" };
        let y = if self.is_south { "southing" } else { "northing" };
        if self.first_is_x { format!("{x} and {y}") } else { format!("{y} and {x}") }
    }

    /// x (east) and y (north) in terms of its axes.
    pub fn signed(self) -> [&'static str; 2] {
        let x = if self.is_west { "its westing with the other sign" } else { "its easting" };
        [x, if self.is_south { "its southing with the other sign" } else { "its northing" }]
    }

    /// The step between its own axes and east, north; the same in both directions, for axes change places or signs.
    fn step(self, inverse: bool) -> String {
        let (x, y) = (if self.is_west { "-" } else { "" }, if self.is_south { "-" } else { "" });
        let order = if self.first_is_x { format!("{x}1,{y}2") } else { format!("{x}2,{y}1") };
        format!(" +step{} +proj=axisswap +order={order}", if inverse { " +inv" } else { "" })
    }
}

/// A pipeline between CRSs with these axes as one that takes and gives east and north.
pub(super) fn between(from: Option<OwnAxes>, pipeline: &str, to: Option<OwnAxes>) -> String {
    if from.is_none() && to.is_none() {
        return pipeline.to_owned();
    }
    let steps = match pipeline.strip_prefix("+proj=pipeline") {
        Some(steps) => steps.to_owned(),
        None => format!(" +step {pipeline}"),
    };
    let step = |axes: Option<OwnAxes>, inverse| axes.map_or_else(String::new, |axes| axes.step(inverse));
    format!("+proj=pipeline{}{steps}{}", step(from, true), step(to, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_surround_an_operation() {
        let lo = OwnAxes::of("west", "south");
        let krovak = OwnAxes::of("south", "west");
        assert_eq!(lo.map(OwnAxes::names).as_deref(), Some("westing and southing"));
        assert_eq!(krovak.map(OwnAxes::names).as_deref(), Some("southing and westing"));
        for (first, second) in [("south", "south"), ("up", "east")] {
            assert_eq!(OwnAxes::of(first, second), None);
        }
        for (first, second, own) in
            [("east", "north", (1.0, 2.0)), ("north", "east", (2.0, 1.0)), ("south", "west", (-2.0, -1.0))]
        {
            let axes = OwnAxes::of(first, second).unwrap();
            assert_eq!((axes.own((1.0, 2.0)), axes.stay()), (own, first == "south"));
        }
        assert_eq!(
            between(lo, "+proj=noop", krovak),
            "+proj=pipeline +step +inv +proj=axisswap +order=-1,-2 +step +proj=noop +step +proj=axisswap +order=-2,-1"
        );
        assert_eq!(
            between(None, "+proj=pipeline +step +proj=utm", lo),
            "+proj=pipeline +step +proj=utm +step +proj=axisswap +order=-1,-2"
        );
        assert_eq!(between(None, "+proj=utm", None), "+proj=utm");
    }
}
