//! Puts a workbook together from pages.
