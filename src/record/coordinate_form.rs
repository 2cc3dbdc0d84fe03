//! How an upload writes its coordinates, as its begin says (`ss-coordinates`).

/// How the coordinates of an upload are written, where the topology takes them from two columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoordinateForm {
    /// In two columns, as the topology says.
    #[default]
    Columns,
    /// Both in one cell, x (east) first, in the column that the topology takes x from.
    Xy,
    /// The same, y (north) first.
    Yx,
    /// As a geometry, in the column that the topology takes x from.
    Geometry,
    /// There are none: nothing is added to rows.
    None,
}

impl CoordinateForm {
    const ALL: [CoordinateForm; 5] = [
        CoordinateForm::Columns,
        CoordinateForm::Xy,
        CoordinateForm::Yx,
        CoordinateForm::Geometry,
        CoordinateForm::None,
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            CoordinateForm::Columns => "columns",
            CoordinateForm::Xy => "xy",
            CoordinateForm::Yx => "yx",
            CoordinateForm::Geometry => "geometry",
            CoordinateForm::None => "none",
        }
    }

    /// The one with this word.
    pub fn of_name(name: &str) -> Option<CoordinateForm> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Whether one cell holds both coordinates.
    pub fn is_one_cell(self) -> bool {
        matches!(self, CoordinateForm::Xy | CoordinateForm::Yx | CoordinateForm::Geometry)
    }
}
