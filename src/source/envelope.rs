//! Upload ids and markers.
