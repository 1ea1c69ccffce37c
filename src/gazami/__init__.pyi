from gazami import events as events
from gazami.api import Cancel as Cancel
from gazami.api import Cancelled as Cancelled
from gazami.api import Event as Event
from gazami.api import Finding as Finding
from gazami.api import GazamiError as GazamiError
from gazami.api import Image as Image
from gazami.api import PlannedStage as PlannedStage
from gazami.api import PlannedStep as PlannedStep
from gazami.api import build as build
from gazami.api import dry_run as dry_run
from gazami.api import lint as lint
from gazami.api import push as push

__version__: str
