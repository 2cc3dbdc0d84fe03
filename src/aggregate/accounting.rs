//! Every row has one fate: the counts and their identity.
