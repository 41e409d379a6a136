"""A Lambda function that tells what SnapStart did to it."""

from snapshot_restore_py import register_after_restore, register_before_snapshot

story = ["imported"]
register_before_snapshot(story.append, "before the snapshot")
register_after_restore(story.append, "after the restore")


def handler(event, context):
    story.append("invoked")
    return story
