//! What `wire::mp4` writes, read by ffmpeg and by mp4-atom.

use holdfast::wire::mp4::{FragmentBuilder, init_segment};

/// Fails unless ffmpeg reads `file` without an error and finds so many pictures.
fn assert_decodes(file: &[u8], frames: usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("footage.mp4");
    std::fs::write(&path, file).unwrap();
    crate::footage::decodes(&path).unwrap();
    assert_eq!(crate::footage::count_frames(&path), frames);
}

#[test]
fn ffmpeg_decodes_every_frame_of_init_and_fragments() {
    let footage = crate::footage::footage(5, 25, 400);
    let mut file = init_segment(&footage.tracks).to_vec();
    for (sequence, units) in (1u32..).zip(footage.units.chunks(70)) {
        let mut fragment = FragmentBuilder::new(sequence);
        for unit in units {
            fragment.push(unit.clone());
        }
        let fragment = fragment.build(None);
        assert_eq!(fragment.len(), fragment.to_bytes().len());
        file.extend_from_slice(&fragment.to_bytes());
    }
    assert_decodes(&file, footage.frames);
}

#[test]
fn ffmpeg_decodes_one_fragment_per_unit() {
    let footage = crate::footage::footage(2, 25, 400);
    let mut file = init_segment(&footage.tracks).to_vec();
    for (sequence, unit) in (1u32..).zip(&footage.units) {
        let mut fragment = FragmentBuilder::new(sequence);
        fragment.push(unit.clone());
        file.extend_from_slice(&fragment.build(None).to_bytes());
    }
    assert_decodes(&file, footage.frames);
}

#[test]
fn pictures_out_of_order_come_out_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let (footage, source) = crate::footage::reordered(dir.path());
    assert!(footage.units.iter().any(|unit| unit.present.ticks > unit.decode.ticks + 3_600));
    let mut file = init_segment(&footage.tracks).to_vec();
    let mut units = footage.units.iter().peekable();
    for sequence in 1u32.. {
        let mut fragment = FragmentBuilder::new(sequence);
        while let Some(unit) = units.next_if(|u| fragment.is_empty() || !u.random_access()) {
            fragment.push(unit.clone());
        }
        if fragment.is_empty() {
            break;
        }
        let fragment = fragment.build(units.peek().map(|next| &***next));
        assert!(fragment.starts_with_key);
        file.extend_from_slice(&fragment.to_bytes());
    }
    let path = dir.path().join("footage.mp4");
    std::fs::write(&path, &file).unwrap();
    crate::footage::decodes(&path).unwrap();
    let sums = crate::footage::picture_sums(&path);
    assert_eq!(sums.len(), footage.frames);
    assert_eq!(sums, crate::footage::picture_sums(&source));
}

#[test]
fn another_reader_finds_every_sample_with_its_time_and_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for footage in [crate::footage::footage(3, 25, 400), crate::footage::reordered(dir.path()).0] {
        let mut file = init_segment(&footage.tracks).to_vec();
        for (sequence, units) in (1u32..).zip(footage.units.chunks(40)) {
            let mut fragment = FragmentBuilder::new(sequence);
            for unit in units {
                fragment.push(unit.clone());
            }
            file.extend_from_slice(&fragment.build(None).to_bytes());
        }
        let tracks = crate::atoms::tracks(&file);
        assert_eq!(tracks.len(), footage.tracks.list.len());
        for (track, known) in tracks.iter().zip(&footage.tracks.list) {
            assert_eq!(track.timescale, known.params.clock_rate.get());
            let units = footage.units.iter().filter(|unit| unit.track == known.id);
            let units: Vec<_> = units.collect();
            assert_eq!(track.samples.len(), units.len());
            for (sample, unit) in track.samples.iter().zip(units) {
                assert!(file[sample.place.clone()] == unit.data[..]);
                assert_eq!(i64::try_from(sample.decode).unwrap(), unit.decode.ticks);
                assert_eq!(sample.composition, unit.present.ticks - unit.decode.ticks);
                assert!(sample.key == unit.random_access() || known.id.0 > 0);
            }
        }
    }
}
