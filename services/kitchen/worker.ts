import { stationWorker } from "../station/worker.ts";

const kitchen = stationWorker({
  name: "kitchen",
  takes: "MAKE_PIZZA",
  cancels: "CANCEL_PIZZA",
  begins: "PIZZA_IN_OVEN",
  finishes: "PIZZA_READY",
  fails: "PIZZA_FAILED",
});

export default kitchen;
export const { Station, Broker, Jobs } = kitchen;
