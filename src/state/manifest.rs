//! Who a state directory belongs to, and whether it can be trusted.
