"""All scenes: each is killed, failed and cut off from power at every point of it."""

from tests.support.crash import falling_back, migration, promotion, saving

SCENES = [*saving.SCENES, *promotion.SCENES, *migration.SCENES, *falling_back.SCENES]
