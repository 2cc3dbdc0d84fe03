//! Reasons why two CRSs have no transformation between them, and the remedies.

/// Which CRS of a pair an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The source CRS.
    From,
    /// The target CRS.
    To,
    /// The way from one to the other.
    Pair,
}

/// Why there is no transformation, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrsError {
    /// Nothing PROJ can make a CRS of.
    #[error("unknown CRS \"{definition}\": {hint}")]
    Unknown {
        /// Which of the two.
        side: Side,
        /// As it was written.
        definition: String,
        /// The advice.
        hint: String,
    },
    /// Something that has no x and y on the earth's surface.
    #[error("\"{definition}\" ({name}) is {what}; {hint}")]
    WrongKind {
        /// Which of the two.
        side: Side,
        /// As it was written.
        definition: String,
        /// Its name in PROJ.
        name: String,
        /// Its kind.
        what: &'static str,
        /// The advice.
        hint: String,
    },
    /// PROJ knows no way from one to the other.
    #[error("no operation leads from {from} to {to}: {reason}")]
    NoOperation {
        /// Source CRS.
        from: String,
        /// Target CRS.
        to: String,
        /// What PROJ says.
        reason: String,
    },
    /// The only way ignores the difference between the datums.
    #[error(
        "the datum shift from {from} to {to} is unknown, and ignoring it (\"{operation}\") can be hundreds of metres off; \
         use a CRS with a known shift, add +towgs84=... to a PROJ string, or set allow_ballpark = true"
    )]
    Ballpark {
        /// Source CRS.
        from: String,
        /// Target CRS.
        to: String,
        /// The operation that was refused.
        operation: String,
    },
    /// PROJ cannot work at all.
    #[error("PROJ cannot start: {0}")]
    Library(String),
}

impl CrsError {
    /// Which CRS is at fault, so that a message can point at it.
    pub fn side(&self) -> Side {
        match self {
            CrsError::Unknown { side, .. } | CrsError::WrongKind { side, .. } => *side,
            CrsError::NoOperation { .. } | CrsError::Ballpark { .. } | CrsError::Library(_) => Side::Pair,
        }
    }
}
