//! Points out of WKT, hex WKB/EWKB and GeoJSON text, through geozero.
