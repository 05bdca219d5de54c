//! Which step of how many, and how to go on after the last that was begun.

use crate::session::Session;

/// The steps of a walk; dropped before its end, it says how to go on.
pub(super) struct Steps<'a> {
    session: &'a Session,
    verb: &'static str,
    /// The words of the command that goes down.
    down: String,
    all: usize,
    begun: usize,
    what: String,
    is_over: bool,
}

impl<'a> Steps<'a> {
    /// Before the first of `all` steps; the words `down` go down.
    pub(super) fn new(session: &'a Session, all: usize, verb: &'static str, down: String) -> Self {
        Self { session, verb, down, all, begun: 0, what: String::new(), is_over: session.is_plan() }
    }

    /// Says which step begins, and what it costs while it stands.
    pub(super) fn begin(&mut self, what: &str, costs: &str) {
        self.begun += 1;
        what.clone_into(&mut self.what);
        let costs = if costs.is_empty() { String::new() } else { format!(" ({costs})") };
        self.session.progress.say(&format!("step {} of {}: {what}{costs}", self.begun, self.all));
    }

    /// Whether a plan has come to its end: the steps after one that changes something need what that makes.
    pub(super) fn ends_plan(&self) -> bool {
        let ends = self.session.has_planned();
        if ends {
            let left = self.all - self.begun;
            self.session
                .progress
                .say(&format!("the other {left} steps need what this one makes: plan them when it is done"));
        }
        ends
    }

    /// All steps were gone.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Steps<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Self { session, verb, down, all, begun, what, .. } = self;
        let down = session.command(down);
        let on = match *verb {
            "down" => format!("`{down}` goes on there"),
            _ => format!("the same command goes on there; `{down}` takes down what there is"),
        };
        session.progress.say(&format!("ended in step {begun} of {all}, {what}: {on}"));
    }
}
