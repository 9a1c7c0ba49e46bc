"""All scenes: each is killed, failed and cut off from power at every point of it."""

from tests.support.crash import migration, promotion, saving

SCENES = [*saving.SCENES, *promotion.SCENES, *migration.SCENES]
