//! Tests of the index that training leaves.
