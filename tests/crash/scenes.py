"""All scenes: each is killed, failed and cut off from power at every point of it."""

import migration
import promotion
import saving

SCENES = [*saving.SCENES, *promotion.SCENES, *migration.SCENES]
