//! Which stream the number of a channel means.
//!
//! Owns: the rule for numbers. Channels are the streams in the order of their names, from one on; a
//! stream called `<other>-sub` beside `<other>` is that one's sub-stream and gets no channel.

use crate::base::name::StreamName;
use crate::live::StreamOutputs;
use crate::stream::Directory;
use crate::wire::rtsp::{Channel, Channels};

const SUB: &str = "-sub";

impl Channels for Directory<StreamOutputs> {
    fn stream(&self, channel: Channel) -> Option<String> {
        let all = self.all();
        let names: Vec<&str> = all.keys().map(StreamName::as_str).collect();
        named(&names, channel).filter(|name| names.contains(&name.as_str()))
    }
}

/// The name of `channel` among `names`, which are in order.
fn named(names: &[&str], channel: Channel) -> Option<String> {
    let is_sub = |name: &str| name.strip_suffix(SUB).is_some_and(|main| names.contains(&main));
    let at = usize::try_from(channel.number).ok()?.checked_sub(1)?;
    let main = names.iter().filter(|name| !is_sub(name)).nth(at)?;
    Some(if channel.sub { format!("{main}{SUB}") } else { (*main).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_main_streams_in_the_order_of_their_names() {
        let names = ["door", "gate", "gate-sub", "lone-sub"];
        let told = |number, sub| named(&names, Channel { number, sub });
        assert_eq!(told(1, false).as_deref(), Some("door"));
        assert_eq!(told(2, false).as_deref(), Some("gate"));
        assert_eq!(told(2, true).as_deref(), Some("gate-sub"));
        assert_eq!(told(3, false).as_deref(), Some("lone-sub"));
        assert_eq!((told(4, false), told(0, false)), (None, None));
    }
}
