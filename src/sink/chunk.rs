//! A workbook as records of limited size.
