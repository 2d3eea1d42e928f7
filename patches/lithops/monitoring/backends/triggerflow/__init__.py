#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#

"""
The Triggerflow backend: what the workers of a durable run need.

Lithops takes this package along to every worker, on every compute backend. It
imports Lithops and its own ``core``, never ``triggerflow_lithops``. The calls
of a run are known by the ``triggerflow`` field of their payload; any other call
(of a nested executor, which inherits the setting) is monitored through storage,
as Lithops does by default, below a prefix of the run's own.
"""

from lithops.monitoring.backends.storage import MonitoringBackend

from .placement import hook
from .status import CallStatus

__all__ = ['CallStatus', 'MonitoringBackend']

hook()
