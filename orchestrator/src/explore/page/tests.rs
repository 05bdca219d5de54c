//! The page as a reader's eyes would check it, and the survey behind it.
